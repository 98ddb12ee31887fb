-- name: InsertAuditEvent :exec
INSERT INTO audit_events (id, actor, principal_id, team_id, action, method, resource_kind, resource_uuid, resource_name,
       parent_kind, parent_uuid, parent_name, reason, outcome, origin, operation_id, vendor_request_id, request_id, client_address,
       user_agent, error_reason, error_message, request, before, after, acting_service)
VALUES (@id, @actor, @principal_id, @team_id, @action, @method, @resource_kind, @resource_uuid, @resource_name,
       @parent_kind, @parent_uuid, @parent_name, @reason, @outcome, @origin, @operation_id, @vendor_request_id, @request_id, @client_address,
       @user_agent, @error_reason, @error_message, @request, @before, @after, @acting_service);

-- name: InsertAuditEvents :exec
-- As InsertAuditEvent, for several at once. The nil uuid stands for none.
INSERT INTO audit_events (id, actor, principal_id, team_id, action, method, resource_kind, resource_uuid, resource_name,
       parent_kind, parent_uuid, parent_name, reason, outcome, origin, operation_id, vendor_request_id, request_id, client_address,
       user_agent, error_reason, error_message, request, before, after, acting_service)
SELECT e.id, e.actor, nullif(e.principal_id, '00000000-0000-0000-0000-000000000000'), nullif(e.team_id, '00000000-0000-0000-0000-000000000000'),
       e.action, e.method, e.resource_kind, nullif(e.resource_uuid, '00000000-0000-0000-0000-000000000000'), e.resource_name,
       e.parent_kind, nullif(e.parent_uuid, '00000000-0000-0000-0000-000000000000'), e.parent_name, e.reason, e.outcome, e.origin,
       nullif(e.operation_id, '00000000-0000-0000-0000-000000000000'), e.vendor_request_id, e.request_id, e.client_address,
       e.user_agent, e.error_reason, e.error_message, e.request, e.before, e.after,
       nullif(e.acting_service, '')
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@actors::text[]) AS actor, unnest(@principal_ids::uuid[]) AS principal_id,
               unnest(@team_ids::uuid[]) AS team_id, unnest(@actions::text[]) AS action, unnest(@methods::text[]) AS method,
               unnest(@resource_kinds::text[]) AS resource_kind, unnest(@resource_uuids::uuid[]) AS resource_uuid,
               unnest(@resource_names::text[]) AS resource_name, unnest(@parent_kinds::text[]) AS parent_kind,
               unnest(@parent_uuids::uuid[]) AS parent_uuid, unnest(@parent_names::text[]) AS parent_name, unnest(@reasons::text[]) AS reason,
               unnest(@outcomes::text[]) AS outcome, unnest(@origins::text[]) AS origin, unnest(@operation_ids::uuid[]) AS operation_id,
               unnest(@vendor_request_ids::text[]) AS vendor_request_id, unnest(@request_ids::text[]) AS request_id,
               unnest(@client_addresses::text[]) AS client_address, unnest(@user_agents::text[]) AS user_agent,
               unnest(@error_reasons::text[]) AS error_reason, unnest(@error_messages::text[]) AS error_message,
               unnest(@requests::jsonb[]) AS request, unnest(@befores::jsonb[]) AS before, unnest(@afters::jsonb[]) AS after,
               unnest(@acting_services::text[]) AS acting_service) AS e;

-- name: EnsureAuditPartitions :exec
SELECT audit_ensure_partitions(@months::integer);
