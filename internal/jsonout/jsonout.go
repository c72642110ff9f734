// Package jsonout has the JSON objects of docs/json.md, which commands print with --json
// and the dashboard serves. A test checks that the page has each field.
package jsonout

// notNil returns all, for lists in JSON.
func notNil[T any](all []T) []T { return append([]T{}, all...) }

// each returns f of each element, for lists in JSON: never nil.
func each[T, R any](all []T, f func(T) R) []R {
	results := make([]R, 0, len(all))
	for _, one := range all {
		results = append(results, f(one))
	}
	return results
}
