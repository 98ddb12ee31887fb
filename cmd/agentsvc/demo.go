package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// demoTimeout bounds each call that makes demo data.
const demoTimeout = time.Minute

// demo makes what "agentsvc dev" shows: teams and people in the database, and the
// rest through the service itself, as its users would.
type demo struct {
	service, vendor string
	// http carries the calls.
	http http.RoundTripper

	made []string
}

// person is a demo caller.
type person struct {
	token, subject, name, team, role, platform string
}

// demoPeople are the demo callers; their tokens are meant to be known.
//
//nolint:gosec // see above
func demoPeople() []person {
	return []person{
		{token: "dev-admin", subject: "admin", name: "admin@dev.example", platform: "ADMIN"},
		{token: "dev-auditor", subject: "auditor", name: "auditor@dev.example", platform: "AUDITOR"},
		{token: "dev-payments-owner", subject: "payments-owner", name: "paula@payments.example", team: "payments", role: "OWNER"},
		{token: "dev-payments-viewer", subject: "payments-viewer", name: "victor@payments.example", team: "payments", role: "VIEWER"},
		{token: "dev-search-owner", subject: "search-owner", name: "sofia@search.example", team: "search", role: "OWNER"},
	}
}

func (d *demo) teams(ctx context.Context, databaseURL string) error {
	pool, err := db.Open(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	return db.New(pool).Tx(ctx, db.Durable, func(q *db.Queries) error {
		for _, p := range demoPeople() {
			id, err := q.UpsertPrincipal(ctx, dbsql.UpsertPrincipalParams{
				Kind: "PERSON", Issuer: identity.FixedIssuer, Subject: p.subject, Name: p.name, PlatformRole: p.platform,
			})
			if err != nil {
				return err
			}
			if p.team == "" {
				continue
			}
			team, err := q.UpsertTeam(ctx, p.team)
			if err != nil {
				return err
			}
			if err := q.UpsertMembership(ctx, dbsql.UpsertMembershipParams{TeamID: team, PrincipalID: id, Role: p.role}); err != nil {
				return err
			}
		}
		return nil
	})
}

// client is a caller with a token.
func (d *demo) client(token string) *http.Client {
	return &http.Client{Transport: bearer{token: token, next: d.http}, Timeout: demoTimeout}
}

type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// agents makes the agents of both teams, routes and versions among them, and one
// that belongs to nobody.
func (d *demo) agents(ctx context.Context) error {
	if err := d.claimKnowledge(ctx); err != nil {
		return err
	}
	front, err := d.agent(ctx, "dev-payments-owner", "payments-front", "Find out what the customer wants and hand over to the right agent.")
	if err != nil {
		return err
	}
	refunds, err := d.agent(ctx, "dev-payments-owner", "payments-refunds", "Help customers to get their money back.")
	if err != nil {
		return err
	}
	if _, err := d.agent(ctx, "dev-payments-owner", "payments-invoices", "Answer questions on invoices."); err != nil {
		return err
	}
	routes := agentsvcv1connect.NewAgentRouteServiceClient(d.client("dev-payments-owner"), d.service)
	if _, err := routes.AddAgentRoute(ctx, &pb.AddAgentRouteRequest{
		ParentAgentUuid: front, ChildAgentUuid: refunds, RouteName: new("refunds"),
		IfCase:   new("the customer wants money back"),
		Mutation: &pb.MutationOptions{Reason: "refunds have an agent of their own now"},
	}); err != nil {
		return err
	}
	agents := agentsvcv1connect.NewAgentServiceClient(d.client("dev-payments-owner"), d.service)
	if _, err := agents.UpdateAgent(ctx, &pb.UpdateAgentRequest{
		Uuid: refunds, Temperature: new(0.2), Instruction: new("Help customers to get their money back. Never promise a date."),
		Mutation: &pb.MutationOptions{Reason: "promised a date to a customer"},
	}); err != nil {
		return err
	}
	assistant, err := d.agent(ctx, "dev-search-owner", "search-assistant", "Help people to find documents.")
	if err != nil {
		return err
	}
	searchRoutes := agentsvcv1connect.NewAgentRouteServiceClient(d.client("dev-search-owner"), d.service)
	if _, err := searchRoutes.AttachKnowledgeBase(ctx, &pb.AttachKnowledgeBaseRequest{
		AgentUuid: assistant, KnowledgeBaseUuid: genaisim.KnowledgeBaseB, Mutation: &pb.MutationOptions{Reason: "search needs something to search"},
	}); err != nil {
		return err
	}
	if _, err := d.agent(ctx, "dev-search-owner", "search-indexer", "Describe documents in a sentence."); err != nil {
		return err
	}
	return d.unowned(ctx)
}

func (d *demo) agent(ctx context.Context, token, name, instruction string) (string, error) {
	agents := agentsvcv1connect.NewAgentServiceClient(d.client(token), d.service)
	made, err := agents.CreateAgent(ctx, &pb.CreateAgentRequest{
		Name: &name, Instruction: &instruction, ModelUuid: proto.String(genaisim.ModelLlama), Region: proto.String(genaisim.DefaultRegion),
		ProjectId: proto.String(genaisim.DefaultProject), Tags: []string{"demo"}, Mutation: &pb.MutationOptions{Reason: "demo data"},
	})
	if err != nil {
		return "", fmt.Errorf("making agent %s: %w", name, err)
	}
	d.made = append(d.made, name)
	return made.GetAgent().GetUuid(), nil
}

// claimKnowledge gives each team a knowledge base of those that exist at the vendor.
func (d *demo) claimKnowledge(ctx context.Context) error {
	resources := agentsvcv1connect.NewResourceServiceClient(d.client("dev-admin"), d.service)
	for team, id := range map[string]string{"payments": genaisim.KnowledgeBaseA, "search": genaisim.KnowledgeBaseB} {
		if _, err := resources.ClaimResource(ctx, &pb.ClaimResourceRequest{
			Kind: "knowledge_base", Uuid: id, Team: team, Reason: "demo data",
		}); err != nil {
			return fmt.Errorf("claiming a knowledge base for %s: %w", team, err)
		}
	}
	return nil
}

// unowned makes an agent as somebody with the vendor's console would.
func (d *demo) unowned(ctx context.Context) error {
	const name = "made-in-the-console"
	body, err := json.Marshal(map[string]any{
		"name": name, "instruction": "Nobody remembers.", "model_uuid": genaisim.ModelLlama, "region": genaisim.DefaultRegion,
		"project_id": genaisim.DefaultProject,
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.vendor+"/_sim/agents", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: d.http, Timeout: demoTimeout}).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // nothing is read from it
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the simulator answered %s", resp.Status)
	}
	d.made = append(d.made, name+" (nobody's)")
	return nil
}

func (d *demo) summary() string { return strings.Join(d.made, ", ") }

// withDatabase is the URL with another database.
func withDatabase(server, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("reading the URL of the database: %w", err)
	}
	u.Path = "/" + name
	return u.String(), nil
}

// withRole is the URL for connections that act as a role.
func withRole(database, role string) (string, error) {
	u, err := url.Parse(database)
	if err != nil {
		return "", fmt.Errorf("reading the URL of the database: %w", err)
	}
	query := u.Query()
	query.Set("role", role)
	u.RawQuery = query.Encode()
	return u.String(), nil
}
