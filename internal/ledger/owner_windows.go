package ledger

// chownLike does nothing: a file inherits the permissions of its folder.
func chownLike(string, string) error { return nil }
