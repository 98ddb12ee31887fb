package e2e_test

import (
	"context"
	"net/http"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

const (
	basesPath      = "/v2/gen-ai/knowledge_bases"
	workspacesPath = "/v2/gen-ai/workspaces"
	anthropicPath  = "/v2/gen-ai/anthropic/keys"
	openAIPath     = "/v2/gen-ai/openai/keys"
)

// sorts are all that clients do, and how often. A sort that is not possible as things
// stand is drawn again.
func sorts() []chaosSort {
	return []chaosSort{
		{20, (*hand).createAgent},
		{24, (*hand).updateAgent},
		{8, (*hand).updateShared},
		{8, (*hand).deleteAgent},
		{14, (*hand).addRoute},
		{7, (*hand).updateRoute},
		{7, (*hand).deleteRoute},
		{2, (*hand).updateNoRoute},
		{12, (*hand).createKey},
		{5, (*hand).renameKey},
		{5, (*hand).regenerateKey},
		{5, (*hand).deleteKey},
		{5, (*hand).createBase},
		{4, (*hand).updateBase},
		{3, (*hand).deleteBase},
		{9, (*hand).attachBase},
		{6, (*hand).detachBase},
		{4, (*hand).createWorkspace},
		{4, (*hand).updateWorkspace},
		{4, (*hand).moveAgent},
		{3, (*hand).deleteWorkspace},
		{4, (*hand).createAnthropicKey},
		{3, (*hand).updateAnthropicKey},
		{3, (*hand).deleteAnthropicKey},
		{3, (*hand).createOpenAIKey},
		{2, (*hand).deleteOpenAIKey},
	}
}

type chaosSort struct {
	weight int
	plan   func(*hand) *deed
}

func (h *hand) createBase() *deed {
	name := h.mark()
	return h.deed(http.MethodPost, basesPath, true, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.bases.CreateKnowledgeBase(ctx, &pb.CreateKnowledgeBaseRequest{
			Name: &name, EmbeddingModelUuid: new(genaisim.ModelEmbedding), Mutation: o,
		})
		return made{operation: resp.GetOperation()}, err
	}, func(m made) { h.bases = append(h.bases, &thing{id: m.id()}) })
}

func (h *hand) updateBase() *deed {
	base := pick(h, h.bases)
	if base == nil {
		return nil
	}
	name := h.mark()
	return h.deed(http.MethodPut, basesPath+"/"+base.id, true, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.bases.UpdateKnowledgeBase(ctx, &pb.UpdateKnowledgeBaseRequest{Uuid: base.id, Name: &name, Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, nil)
}

func (h *hand) deleteBase() *deed {
	base := pick(h, h.bases)
	if base == nil || base.users > 0 {
		return nil
	}
	return h.deed(http.MethodDelete, basesPath+"/"+base.id, false, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.bases.DeleteKnowledgeBase(ctx, &pb.DeleteKnowledgeBaseRequest{Uuid: base.id, Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, func(made) { h.bases = less(h.bases, base) })
}

func (h *hand) attachBase() *deed {
	a, base := pick(h, h.agents), pick(h, h.bases)
	if a == nil || base == nil || a.attached[base.id] {
		return nil
	}
	a.attached[base.id] = true
	path := agentsPath + "/" + a.id + "/knowledge_bases/" + base.id
	return h.deed(http.MethodPost, path, false, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.routes.AttachKnowledgeBase(ctx, &pb.AttachKnowledgeBaseRequest{AgentUuid: a.id, KnowledgeBaseUuid: base.id, Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, func(made) {
		a.bases = append(a.bases, base)
		base.users++
	})
}

func (h *hand) detachBase() *deed {
	a := pick(h, h.agents)
	if a == nil || len(a.bases) == 0 {
		return nil
	}
	base := pick(h, a.bases)
	path := agentsPath + "/" + a.id + "/knowledge_bases/" + base.id
	return h.deed(http.MethodDelete, path, false, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.routes.DetachKnowledgeBase(ctx, &pb.DetachKnowledgeBaseRequest{AgentUuid: a.id, KnowledgeBaseUuid: base.id, Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, func(made) {
		a.bases = less(a.bases, base)
		base.users--
	})
}

func (h *hand) createWorkspace() *deed {
	name := h.mark()
	return h.deed(http.MethodPost, workspacesPath, true, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.workspaces.CreateWorkspace(ctx, &pb.CreateWorkspaceRequest{Name: &name, Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, func(m made) { h.workspaces = append(h.workspaces, &thing{id: m.id()}) })
}

func (h *hand) updateWorkspace() *deed {
	space := pick(h, h.workspaces)
	if space == nil {
		return nil
	}
	text := h.mark()
	return h.deed(http.MethodPut, workspacesPath+"/"+space.id, true, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.workspaces.UpdateWorkspace(ctx, &pb.UpdateWorkspaceRequest{WorkspaceUuid: space.id, Description: &text, Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, nil)
}

// moveAgent puts an agent into a workspace, once into each: the request has no mark.
func (h *hand) moveAgent() *deed {
	a, space := pick(h, h.agents), pick(h, h.workspaces)
	if a == nil || space == nil || space.used {
		return nil
	}
	space.used = true
	path := workspacesPath + "/" + space.id + "/agents"
	return h.deed(http.MethodPut, path, false, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.workspaces.MoveAgentsToWorkspace(ctx, &pb.MoveAgentsToWorkspaceRequest{
			WorkspaceUuid: space.id, AgentUuids: []string{a.id}, Mutation: o,
		})
		return made{operation: resp.GetOperation()}, err
	}, nil)
}

func (h *hand) deleteWorkspace() *deed {
	space := pick(h, h.workspaces)
	if space == nil {
		return nil
	}
	return h.deed(http.MethodDelete, workspacesPath+"/"+space.id, false, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.workspaces.DeleteWorkspace(ctx, &pb.DeleteWorkspaceRequest{WorkspaceUuid: space.id, Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, func(made) { h.workspaces = less(h.workspaces, space) })
}

func (h *hand) createAnthropicKey() *deed {
	name := h.mark()
	return h.deed(http.MethodPost, anthropicPath, true, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.providers.CreateAnthropicApiKey(ctx, &pb.CreateAnthropicApiKeyRequest{Name: &name, ApiKey: new("sk-" + name), Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, func(m made) { h.anthropic = append(h.anthropic, &thing{id: m.id()}) })
}

// updateAnthropicKey gives it another name. Another secret is a change each time that it
// is sent, as nobody knows the old one.
func (h *hand) updateAnthropicKey() *deed {
	key := pick(h, h.anthropic)
	if key == nil {
		return nil
	}
	name := h.mark()
	return h.deed(http.MethodPut, anthropicPath+"/"+key.id, true, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.providers.UpdateAnthropicApiKey(ctx, &pb.UpdateAnthropicApiKeyRequest{ApiKeyUuid: key.id, Name: &name, Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, nil)
}

func (h *hand) deleteAnthropicKey() *deed {
	key := pick(h, h.anthropic)
	if key == nil {
		return nil
	}
	return h.deed(http.MethodDelete, anthropicPath+"/"+key.id, false, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.providers.DeleteAnthropicApiKey(ctx, &pb.DeleteAnthropicApiKeyRequest{ApiKeyUuid: key.id, Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, func(made) { h.anthropic = less(h.anthropic, key) })
}

func (h *hand) createOpenAIKey() *deed {
	name := h.mark()
	return h.deed(http.MethodPost, openAIPath, true, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.providers.CreateOpenAiApiKey(ctx, &pb.CreateOpenAiApiKeyRequest{Name: &name, ApiKey: new("sk-" + name), Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, func(m made) { h.openAI = append(h.openAI, &thing{id: m.id()}) })
}

func (h *hand) deleteOpenAIKey() *deed {
	key := pick(h, h.openAI)
	if key == nil {
		return nil
	}
	return h.deed(http.MethodDelete, openAIPath+"/"+key.id, false, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.providers.DeleteOpenAiApiKey(ctx, &pb.DeleteOpenAiApiKeyRequest{ApiKeyUuid: key.id, Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, func(made) { h.openAI = less(h.openAI, key) })
}
