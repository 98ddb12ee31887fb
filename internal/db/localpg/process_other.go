//go:build !linux

package localpg

import (
	"os/exec"
	"strconv"
	"strings"
)

// dieWithParent does nothing: only Linux can tell a process of its parent's
// death. The next Start on the same data stops what is left.
func dieWithParent(*exec.Cmd) {}

// processes lists all there are.
func processes() (map[int]running, error) {
	out, err := exec.Command("ps", "-axo", "pid=,ppid=,stat=,args=").Output()
	if err != nil {
		return nil, err
	}
	all := make(map[int]running)
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		pid, err := strconv.Atoi(f[0])
		if err != nil {
			continue
		}
		parent, err := strconv.Atoi(f[1])
		if err != nil {
			continue
		}
		all[pid] = running{pid: pid, parent: parent, zombie: strings.HasPrefix(f[2], "Z"), command: strings.Join(f[3:], " ")}
	}
	return all, nil
}
