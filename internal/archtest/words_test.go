package archtest

import (
	"go/scanner"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const glossary = "docs/glossary.md"

// avoided are the words in the glossary's column "not".
func avoided(t *testing.T) *regexp.Regexp {
	t.Helper()
	_, table, _ := strings.Cut(read(t, filepath.Join(root, glossary)), "| say | not |")
	table, _, _ = strings.Cut(table, "\n\n")
	var words []string
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(row, "|")
		if len(cells) != 4 || strings.HasPrefix(cells[1], " ---") {
			continue
		}
		for word := range strings.SplitSeq(cells[2], ",") {
			words = append(words, strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(word)), " ", `\s+`))
		}
	}
	if len(words) == 0 {
		t.Fatalf("%s has no table of words to avoid", glossary)
	}
	return regexp.MustCompile(`(?i)\b(` + strings.Join(words, "|") + `)\b`)
}

func TestTextsUseTheWordsOfTheGlossary(t *testing.T) {
	words := avoided(t)
	for _, name := range documents(t) {
		if strings.HasSuffix(name, glossary) {
			continue
		}
		text, _, _ := strings.Cut(read(t, name), renamed)
		for i, line := range strings.Split(text, "\n") {
			if word := words.FindString(line); word != "" {
				t.Errorf("%s:%d: %q, see %s", name, i+1, word, glossary)
			}
		}
	}
	for dir := range parseModule(t).byDir {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue // what others wrote is quoted there
			}
			content := []byte(read(t, name))
			set := token.NewFileSet()
			var s scanner.Scanner
			s.Init(set.AddFile(name, -1, len(content)), content, nil, scanner.ScanComments)
			for pos, tok, text := s.Scan(); tok != token.EOF; pos, tok, text = s.Scan() {
				if word := words.FindString(text); word != "" && (tok == token.COMMENT || tok == token.STRING) {
					t.Errorf("%v: %q, see %s", set.Position(pos), word, glossary)
				}
			}
		}
	}
}
