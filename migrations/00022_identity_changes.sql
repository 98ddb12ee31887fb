-- What a replica remembers of callers it must forget as soon as the rows behind it change.

-- +goose Up
-- When the token was last seen, give or take a minute; null until then.
ALTER TABLE service_tokens ADD COLUMN last_used_at timestamptz;
-- A service with this right may name the person it acts for.
ALTER TABLE principals ADD COLUMN may_act_for_others boolean NOT NULL DEFAULT false;

-- By trigger, so that no way of changing these rows forgets to tell. A NOTIFY in a commit makes it wait for other
-- commits with one; changes of who may what are rare enough for that.
-- +goose StatementBegin
CREATE FUNCTION identity_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('agentsvc_identity', '');
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- Not when it was last used, which changes nobody's rights.
CREATE TRIGGER service_tokens_tell AFTER UPDATE ON service_tokens FOR EACH ROW
    WHEN ((OLD.id, OLD.principal_id, OLD.secret_hash, OLD.expires_at, OLD.revoked_at)
          IS DISTINCT FROM (NEW.id, NEW.principal_id, NEW.secret_hash, NEW.expires_at, NEW.revoked_at))
    EXECUTE FUNCTION identity_tell();
CREATE TRIGGER service_tokens_tell_deleted AFTER DELETE ON service_tokens FOR EACH ROW EXECUTE FUNCTION identity_tell();
CREATE TRIGGER principals_tell AFTER UPDATE ON principals FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION identity_tell();
CREATE TRIGGER principals_tell_deleted AFTER DELETE ON principals FOR EACH ROW EXECUTE FUNCTION identity_tell();
CREATE TRIGGER memberships_tell AFTER UPDATE ON memberships FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION identity_tell();
CREATE TRIGGER memberships_tell_others AFTER INSERT OR DELETE ON memberships FOR EACH ROW EXECUTE FUNCTION identity_tell();
CREATE TRIGGER teams_tell AFTER UPDATE ON teams FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION identity_tell();
-- A new team may be one that people have a role in by their groups.
CREATE TRIGGER teams_tell_others AFTER INSERT OR DELETE ON teams FOR EACH ROW EXECUTE FUNCTION identity_tell();

-- +goose Down
DROP TRIGGER teams_tell_others ON teams;
DROP TRIGGER teams_tell ON teams;
DROP TRIGGER memberships_tell_others ON memberships;
DROP TRIGGER memberships_tell ON memberships;
DROP TRIGGER principals_tell_deleted ON principals;
DROP TRIGGER principals_tell ON principals;
DROP TRIGGER service_tokens_tell_deleted ON service_tokens;
DROP TRIGGER service_tokens_tell ON service_tokens;
DROP FUNCTION identity_tell();
ALTER TABLE principals DROP COLUMN may_act_for_others;
ALTER TABLE service_tokens DROP COLUMN last_used_at;
