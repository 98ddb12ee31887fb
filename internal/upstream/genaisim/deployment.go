package genaisim

import "time"

const (
	statusWaiting   = "STATUS_WAITING_FOR_DEPLOYMENT"
	statusDeploying = "STATUS_DEPLOYING"
	statusRunning   = "STATUS_RUNNING"
	statusDeleted   = "STATUS_DELETED"

	visibilityUnknown = "VISIBILITY_UNKNOWN"
	visibilityPrivate = "VISIBILITY_PRIVATE"
)

// waitingShare is the part of the deployment time spent waiting, one in so many.
const waitingShare = 3

// deploymentOf tells how far the deployment of an agent has come at now, and
// since when. It is computed from the time that has passed, so that nothing
// has to run meanwhile.
func (st *state) deploymentOf(a *agent, now time.Time) (status string, since time.Time) {
	passed := now.Sub(a.deployedAt)
	waiting := st.deployTime / waitingShare
	switch {
	case a.settled:
		return statusRunning, a.deployedAt
	case passed >= st.deployTime:
		return statusRunning, a.deployedAt.Add(st.deployTime)
	case passed >= waiting:
		return statusDeploying, a.deployedAt.Add(waiting)
	default:
		return statusWaiting, a.deployedAt
	}
}

// setVisibility carries out PUT /v2/gen-ai/agents/{uuid}/deployment_visibility.
func setVisibility(c *call) (any, *apiError) {
	a, fail := c.agent("uuid")
	if fail != nil {
		return nil, fail
	}
	wanted, given := c.body.text("visibility")
	if !given || wanted == visibilityUnknown {
		return nil, badRequest("visibility is required")
	}
	if c.st.show(a, wanted, owner(), c.now) {
		c.didf("set visibility of agent %s to %s", a.uuid, wanted)
	}
	return c.agentAnswer(a), nil
}

// show gives the deployment of an agent another visibility. It returns false
// if the agent has it already.
func (st *state) show(a *agent, wanted string, by actor, now time.Time) bool {
	if a.visibility == wanted {
		return false
	}
	a.visibility = wanted
	st.record(a, "update_deployment_visibility", by, now)
	return true
}
