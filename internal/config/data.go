package config

// DataFolder returns the data folder that a file sets, or the default. It checks
// nothing else, so that it needs no right to read keys.
func DataFolder(file string) (string, error) {
	l := newLoading(nil)
	for i, s := range l.read(file) {
		if s.key == "data" {
			l.apply(s, i)
		}
	}
	if len(l.problems) > 0 {
		return "", l.problems
	}
	return l.config.Data, nil
}
