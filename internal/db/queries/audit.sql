-- name: InsertAuditEvent :exec
INSERT INTO audit_events (id, actor, principal_id, team_id, action, method, resource_kind, resource_uuid, resource_name,
       parent_kind, parent_uuid, parent_name, reason, outcome, origin, operation_id, vendor_request_id, request_id, client_address,
       user_agent, error_reason, error_message, request, before, after, acting_service)
VALUES (@id, @actor, @principal_id, @team_id, @action, @method, @resource_kind, @resource_uuid, @resource_name,
       @parent_kind, @parent_uuid, @parent_name, @reason, @outcome, @origin, @operation_id, @vendor_request_id, @request_id, @client_address,
       @user_agent, @error_reason, @error_message, @request, @before, @after, @acting_service);

-- name: EnsureAuditPartitions :exec
SELECT audit_ensure_partitions(@months::integer);
