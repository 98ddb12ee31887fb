package mirror

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// applyKey brings a change of an API key into the agent's body. Keys make no
// version, and the answer shows the key as it is now, so nothing has to be read
// again.
func applyKey(ctx context.Context, q *db.Queries, c Change, on target) (Effect, error) {
	effect := plain(c)
	effect.Parent = on.ref()
	var now *pb.ApiKeyInfo
	if answer, ok := c.Response.(interface{ GetApiKeyInfo() *pb.ApiKeyInfo }); ok && answer.GetApiKeyInfo() != nil {
		now = proto.CloneOf(answer.GetApiKeyInfo())
		methods.Redact(now)
	}
	deleted := c.Method.Access.GetAction() == pb.Action_ACTION_DELETE
	if effect.Resource.UUID == nil {
		if id, err := uuid.Parse(now.GetUuid()); err == nil {
			effect.Resource.UUID = &id
		}
	}
	if effect.Resource.UUID == nil {
		return effect, dirty(ctx, q, on, c) // the vendor did not say which key
	}
	old, err := replaceKey(ctx, q, on, effect.Resource.UUID.String(), now, deleted)
	if err != nil {
		return Effect{}, err
	}
	switch {
	case deleted:
		if old == nil {
			old = now
		}
		now = nil
	case c.Method.Access.GetAction() == pb.Action_ACTION_CREATE:
		old = nil
	}
	effect.Resource.Name = now.GetName()
	if now == nil {
		effect.Resource.Name = old.GetName()
	}
	effect.Before, effect.After, err = changed(old, now)
	return effect, err
}

// replaceKey puts a key into the agent's body in place of what was there, or takes
// it out, and answers what was there.
func replaceKey(ctx context.Context, q *db.Queries, on target, id string, now *pb.ApiKeyInfo, deleted bool) (*pb.ApiKeyInfo, error) {
	var old *pb.ApiKeyInfo
	var body []byte
	if on.row != nil && on.row.Body != nil {
		agent := &pb.Agent{}
		if err := proto.Unmarshal(on.row.Body, agent); err != nil {
			return nil, fmt.Errorf("reading agent %s: %w", on.id, err)
		}
		at := slices.IndexFunc(agent.GetApiKeyInfos(), func(key *pb.ApiKeyInfo) bool { return key.GetUuid() == id })
		if at >= 0 {
			old = agent.GetApiKeyInfos()[at]
		}
		switch {
		case deleted && at >= 0:
			agent.ApiKeyInfos = slices.Delete(agent.GetApiKeyInfos(), at, at+1)
		case deleted || now == nil:
		case at >= 0:
			agent.ApiKeyInfos[at] = now
		default:
			agent.ApiKeyInfos = append(agent.GetApiKeyInfos(), now)
		}
		var err error
		if body, err = encode(agent); err != nil {
			return nil, err
		}
	}
	if err := q.AmendBody(ctx, dbsql.AmendBodyParams{Body: body, Kind: on.kind.name, UUID: on.id}); err != nil {
		return nil, fmt.Errorf("storing the keys of agent %s: %w", on.id, err)
	}
	return old, nil
}
