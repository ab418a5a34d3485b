package chain

import (
	"container/heap"
	"fmt"
	"slices"
)

// pass puts a line into its chain.
func (v *Verifier) pass(e entry) {
	c := v.chains[e.Chain]
	if c == nil {
		if len(v.chains) == maxChains {
			v.problem("there are more than %d chains", maxChains)
			return
		}
		c = &seen{head: Head{Chain: e.Chain}, keyed: e.keyed, waiting: map[uint64]early{}}
		v.chains[e.Chain] = c
		v.order = append(v.order, e.Chain)
	}
	now := early{Head: e.Head, prev: e.prev, file: v.file, number: v.number, at: e.at()}
	c.latest = max(c.latest, now.at)
	switch _, there := c.waiting[e.Seq]; {
	case e.Seq <= c.head.Seq || there:
		v.problem("line %d of chain %s stands here again", e.Seq, e.Chain)
	case e.Seq == c.head.Seq+1:
		v.follow(c, now)
		v.catchUp(c)
	default:
		c.waiting[e.Seq] = now
		heap.Push(&c.turns, e.Seq)
		if v.waiting++; v.waiting > maxWaiting || len(c.waiting) > maxAhead {
			v.giveUp(c)
		}
	}
}

// follow takes the line whose turn it is.
func (v *Verifier) follow(c *seen, e early) {
	if c.first == 0 {
		c.first = e.Seq
	}
	switch {
	case e.Seq == 1:
		v.start(c, e)
	case c.head.Hash != "" && e.prev != c.head.Hash:
		v.report(e.file, e.number, fmt.Sprintf("the line does not follow line %d of chain %s", c.head.Seq, e.Chain))
	}
	c.head = e.Head
	c.lines++
	if c.recent = append(c.recent, e.Hash); len(c.recent) > maxRecent {
		c.recent = slices.Delete(c.recent, 0, 1)
	}
	if _, wanted := v.anchors[e.Head]; wanted {
		v.anchors[e.Head] = true
	}
}

// start looks at what a chain begins behind: the end of the chain before. If that
// end is not here, it was cut off, or lies in a file that was not given.
func (v *Verifier) start(c *seen, e early) {
	if e.prev == zeros {
		switch {
		case v.isOlder(c, e):
			v.report(e.file, e.number, fmt.Sprintf("chain %s begins here, and is older than a chain in front of it whose beginning is missing: lines were moved, or files are not in their order", e.Chain))
		case len(v.chains) > 1:
			v.note("%s:%d: chain %s begins anew, without a link to what was before: whether something is missing in front of it cannot be known", e.file, e.number, e.Chain)
		}
		return
	}
	for _, other := range v.chains {
		if other != c && other.has(e.prev) {
			return
		}
	}
	if len(v.chains) == 1 {
		v.note("%s:%d: chain %s follows another one that is not here", e.file, e.number, e.Chain)
		return
	}
	v.report(e.file, e.number, fmt.Sprintf("chain %s follows a line that is not here: the end of the chain before is missing", e.Chain))
}

// isOlder tells whether a chain without a link begins before a chain that stands in
// front of it and has lost its beginning. Nothing else joins those two: who puts the
// later one first could take away the end of the one and the beginning of the other,
// as if old files had been thrown away.
func (v *Verifier) isOlder(c *seen, e early) bool {
	for _, other := range v.chains {
		if other != c && other.first != 1 && e.at > 0 && e.at < other.latest {
			return true
		}
	}
	return false
}

// has tells whether a hash is that of one of the last lines.
func (c *seen) has(hash string) bool {
	if slices.Contains(c.recent, hash) {
		return true
	}
	for _, e := range c.waiting {
		if e.Hash == hash {
			return true
		}
	}
	return false
}

// catchUp takes the lines that have waited for this one.
func (v *Verifier) catchUp(c *seen) {
	for len(c.turns) > 0 && c.turns[0] == c.head.Seq+1 {
		heap.Pop(&c.turns)
		e := c.waiting[c.head.Seq+1]
		delete(c.waiting, e.Seq)
		v.waiting--
		v.follow(c, e)
	}
}

// giveUp stops waiting for a line: it is missing, or lies in an older file.
func (v *Verifier) giveUp(c *seen) {
	if len(c.waiting) == 0 {
		return
	}
	e := c.waiting[c.turns[0]]
	switch from, to := c.head.Seq+1, e.Seq-1; {
	case c.first == 0 && v.order[0] != e.Chain:
		// Retention takes away the beginning of the files. Behind another chain the
		// beginning of this one was there, and with it the link to the end of that one.
		v.report(e.file, e.number, fmt.Sprintf("chain %s is here from line %d on, behind another chain: its beginning is missing (check the files of each node by themselves)", e.Chain, e.Seq))
	case c.first == 0:
		v.note("%s:%d: chain %s is here from line %d on", e.file, e.number, e.Chain, e.Seq)
	case from == to:
		v.report(e.file, e.number, fmt.Sprintf("line %d of chain %s is missing before this one", from, e.Chain))
	default:
		v.report(e.file, e.number, fmt.Sprintf("lines %d to %d of chain %s are missing before this one", from, to, e.Chain))
	}
	c.head.Seq, c.head.Hash = e.Seq-1, "" // so that this one is next
	v.catchUp(c)
}

// turns are the numbers of the lines that wait, a heap.
type turns []uint64

func (t turns) Len() int           { return len(t) }
func (t turns) Less(i, j int) bool { return t[i] < t[j] }
func (t turns) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *turns) Push(x any) {
	if seq, ok := x.(uint64); ok {
		*t = append(*t, seq)
	}
}

// Pop implements heap.Interface.
func (t *turns) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

// Report ends the verification.
func (v *Verifier) Report() Report {
	r := Report{Lines: v.lines, Keyless: v.keyless}
	for _, id := range v.order {
		c := v.chains[id]
		for len(c.waiting) > 0 {
			v.giveUp(c)
		}
		r.Chains = append(r.Chains, Span{First: c.first, Last: c.head, Lines: c.lines, Keyed: c.keyed})
	}
	for anchor, found := range v.anchors {
		if !found {
			v.report("", 0, fmt.Sprintf("the anchor %s is not in these files: lines up to it are missing or were changed", anchor))
		}
	}
	r.Problems, r.Count, r.Notes = v.found, v.count, v.notes
	return r
}
