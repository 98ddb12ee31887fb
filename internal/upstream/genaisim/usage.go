package genaisim

import (
	"hash/fnv"
	"time"
)

type usageView struct {
	ResourceUUID string            `json:"resource_uuid"`
	Start        string            `json:"start"`
	Stop         string            `json:"stop"`
	Measurements []measurementView `json:"measurements"`
}

type measurementView struct {
	UsageType string `json:"usage_type"`
	Tokens    int64  `json:"tokens"`
}

// getUsage carries out GET /v2/gen-ai/agents/{uuid}/usage. Nobody talks to a
// simulated agent, so its usage is made up: so many tokens an hour, a rate
// that only the agent's id decides. Before it was made and after now there is
// none.
func getUsage(c *call) (any, *apiError) {
	a, fail := c.agent("uuid")
	if fail != nil {
		return nil, fail
	}
	start, stop := a.createdAt, c.now
	if t, ok := parseTime(c.query.Get("start")); ok {
		start = t
	}
	if t, ok := parseTime(c.query.Get("stop")); ok {
		stop = t
	}
	if stop.Before(start) {
		return nil, badRequest("stop is before start")
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(a.uuid)) // never fails
	perHour := int64(500 + hash.Sum32()%1500)
	alive := earlier(stop, c.now).Sub(later(start, a.createdAt))
	input := perHour * int64(max(alive, 0)/time.Minute) / 60

	usage := func(measurements ...measurementView) usageView {
		return usageView{ResourceUUID: a.uuid, Start: stamp(start), Stop: stamp(stop), Measurements: notNil(measurements)}
	}
	insights := usage()
	if a.insights {
		insights = usage(measurementView{"log_insights_tokens", input / 10})
	}
	return struct {
		Usage       usageView `json:"usage"`
		LogInsights usageView `json:"log_insights_usage"`
	}{usage(measurementView{"input_tokens", input}, measurementView{"output_tokens", input / 4}), insights}, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
