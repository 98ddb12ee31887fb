package genaisim

import "maps"

// beyondContract adds to the body of an operation what the vendor's own clients
// send although the reference does not have it. It is taken and means nothing.
//
// Clients of all kinds repeat the ids of the path. Where the reference has such
// a field, the generated client (@digitalocean/gradient 0.1.0-alpha.2) calls its
// parameter body_uuid, to tell it from the path's, and sends it by that name.
//
// The Go client (godo 1.236) has a region in the update of an agent, and cannot
// update a knowledge base without an embedding model.
func (p typeParser) beyondContract(op *operation) {
	for _, param := range op.params {
		name := param
		if _, documented := op.body.fields[param]; documented {
			name = "body_" + param
		}
		op.body.fields[name] = paramSchema(param)
	}
	switch op.key {
	case "PUT /v2/gen-ai/agents/{uuid}":
		maps.Copy(op.body.fields, p.fields(map[string]string{"region": "string"}))
	case "PUT /v2/gen-ai/knowledge_bases/{uuid}":
		maps.Copy(op.body.fields, p.fields(map[string]string{"embedding_model_uuid": "uuid"}))
	}
}
