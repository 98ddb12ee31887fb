// Package verify holds an export of the history against signed checkpoints, offline: with
// the file, a checkpoint and its key, and nothing of ours that would have to be trusted.
//
// A line of an export is {"index":N,"event":…}, and its event is hashed as it stands there,
// without being parsed. From the leaves, which are those hashes in the order of their
// index, comes a root, and it is the signed one or something is wrong.
//
// A root that is wrong does not say where. Three things do: the index of each line shows
// what is missing, doubled or out of order; older checkpoints narrow a change down to what
// was sealed between two of them; and the leaf hashes, kept beside the checkpoints and bound
// to them by the same root, name the one event. With the leaves also a part of the history
// can be held against the whole: then each line is proved, but not that no line was
// left out.
package verify
