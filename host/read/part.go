package read

// part is rendered lines in the order of publishing. Line i ends at ends[i], and was
// published at published[i] (Unix time, ns). It does not change.
type part struct {
	bytes     []byte
	ends      []int
	published []int64
}

func newPart(lines, bytes int) part {
	return part{make([]byte, 0, bytes), make([]int, 0, lines), make([]int64, 0, lines)}
}

// line adds line i of another part.
func (p *part) line(of *part, i int) {
	from := 0
	if i > 0 {
		from = of.ends[i-1]
	}
	p.bytes = append(p.bytes, of.bytes[from:of.ends[i]]...)
	p.ends, p.published = append(p.ends, len(p.bytes)), append(p.published, of.published[i])
}

// join makes one part of several.
func join(parts []part) part {
	if len(parts) == 1 {
		return parts[0]
	}
	var all part
	for _, p := range parts {
		for i := range p.ends {
			all.line(&p, i)
		}
	}
	return all
}

// newestOf merges two parts, of which b arrived later, and returns their newest lines.
func newestOf(a, b part, lines int) part {
	i, j := len(a.ends), len(b.ends)
	for range min(lines, i+j) {
		if j > 0 && (i == 0 || b.published[j-1] >= a.published[i-1]) {
			j--
		} else {
			i--
		}
	}
	all := newPart(lines, len(a.bytes)+len(b.bytes))
	for i < len(a.ends) || j < len(b.ends) {
		if j == len(b.ends) || i < len(a.ends) && a.published[i] <= b.published[j] {
			all.line(&a, i)
			i++
		} else {
			all.line(&b, j)
			j++
		}
	}
	return all
}
