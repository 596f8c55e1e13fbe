package main

// outcome is how a check ended; the zero value is that it passed.
type outcome struct {
	failed, left bool
	reason       string // why it was left out
}

// outcomes are those of one plugin.
type outcomes struct {
	order   *[]string // the names of the checks, as they first came
	byCheck map[string]map[mode]outcome
}

// results are those of all plugins, by their names.
type results map[string]outcomes

// of returns where the plugin's outcomes go.
func (r results) of(p plugin) outcomes {
	if _, ok := r[p.String()]; !ok {
		r[p.String()] = outcomes{order: &[]string{}, byCheck: map[string]map[mode]outcome{}}
	}
	return r[p.String()]
}

// add notes how a check ended. Of several times in one mode the worst counts.
func (o outcomes) add(check string, m mode, is outcome) {
	if o.byCheck[check] == nil {
		o.byCheck[check] = map[mode]outcome{}
		*o.order = append(*o.order, check)
	}
	was, again := o.byCheck[check][m]
	if again && (was.failed || was.left && !is.failed) {
		return
	}
	o.byCheck[check][m] = is
}

func (o outcomes) count() (n int) {
	for _, byMode := range o.byCheck {
		n += len(byMode)
	}
	return n
}

func (r results) failed() bool {
	for _, o := range r {
		for _, byMode := range o.byCheck {
			for _, is := range byMode {
				if is.failed {
					return true
				}
			}
		}
	}
	return false
}
