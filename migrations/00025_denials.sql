-- Denials of a caller, a method and a minute: the first is told in the history at once, the
-- others as one when the minute is over.

-- +goose Up
CREATE TABLE denials (
    -- Who; a unique id, or a name where there is none.
    caller       text        NOT NULL,
    method       text        NOT NULL,
    minute       timestamptz NOT NULL,
    actor        text        NOT NULL,
    principal_id uuid,
    -- That of the first one's event.
    team_id      uuid,
    action       text        NOT NULL,
    error_reason text        NOT NULL,
    -- All of them, the first included.
    count        bigint      NOT NULL DEFAULT 1,
    PRIMARY KEY (caller, method, minute)
);
CREATE INDEX denials_by_minute ON denials (minute);

-- +goose Down
DROP TABLE denials;
