package main

import (
	"testing"

	"github.com/agentsvc/agentsvc/internal/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }
