package identity

import (
	"container/list"
	"slices"
	"sync"
	"time"
)

const (
	// remember is the longest that a caller is remembered. It only bounds what is forgotten
	// by itself: what changes is told, see [Authenticator.Run].
	remember = 30 * time.Second
	// maxRemembered callers take some megabytes.
	maxRemembered = 10_000
)

// cache remembers whom credentials spoke for, so that their next call needs neither a
// query nor a signature checked. While nobody listens for changes it remembers nothing.
type cache struct {
	now func() time.Time // how long ago, by one clock

	mu        sync.Mutex
	listening bool
	// generation counts how often all was forgotten: what was found out before that is not
	// remembered after it.
	generation uint64
	entries    map[key]*list.Element
	recent     *list.List          // of remembered, the last used first
	used       map[string]struct{} // ids of tokens that were used since they were last taken
}

type remembered struct {
	key    key
	caller Caller
	token  string // its id, "" if it is no service token
	until  time.Time
}

func newCache(now func() time.Time) *cache {
	return &cache{now: now, entries: map[key]*list.Element{}, recent: list.New(), used: map[string]struct{}{}}
}

// get is whom the credentials spoke for; false if that is not known, or not any more.
func (c *cache) get(k key) (Caller, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[k]
	if !ok {
		return Caller{}, false
	}
	entry, _ := element.Value.(*remembered)
	if !c.now().Before(entry.until) {
		c.remove(element)
		return Caller{}, false
	}
	c.recent.MoveToFront(element)
	if entry.token != "" {
		c.used[entry.token] = struct{}{}
	}
	return entry.caller, true
}

// begin is when finding out begins: what [cache.put] is given back.
func (c *cache) begin() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.generation
}

// put remembers what was found out since begun, unless something has changed meanwhile.
func (c *cache) put(begun uint64, k key, found known) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found.token != "" {
		c.used[found.token] = struct{}{}
	}
	if !c.listening || c.generation != begun {
		return
	}
	until := c.now().Add(remember)
	if !found.until.IsZero() && found.until.Before(until) {
		until = found.until
	}
	if old, ok := c.entries[k]; ok {
		c.remove(old)
	}
	found.caller.Teams = slices.Clip(found.caller.Teams) // it is shared by all calls to come
	c.entries[k] = c.recent.PushFront(&remembered{key: k, caller: found.caller, token: found.token, until: until})
	for c.recent.Len() > maxRemembered {
		c.remove(c.recent.Back())
	}
}

// remove is for whoever holds the lock.
func (c *cache) remove(element *list.Element) {
	if entry, ok := c.recent.Remove(element).(*remembered); ok {
		delete(c.entries, entry.key)
	}
}

// forget drops everything: something has changed, and what it was costs more to tell
// than to ask again.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
}

// listen says whether changes are heard of from now on. What was remembered or asked for
// before may have changed unheard.
func (c *cache) listen(listening bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
	c.listening = listening
}

// drop is for whoever holds the lock.
func (c *cache) drop() {
	c.generation++
	clear(c.entries)
	c.recent.Init()
}

// takeUsed are the ids of tokens that were used since it was last asked.
func (c *cache) takeUsed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make([]string, 0, len(c.used))
	for id := range c.used {
		ids = append(ids, id)
	}
	clear(c.used)
	return ids
}
