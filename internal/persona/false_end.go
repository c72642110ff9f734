package persona

import (
	"errors"
	"strings"
)

// maxAnswers bounds what is read of a server that takes each line of the second message
// for a command.
const maxAnswers = 20

// smuggle sends two messages with a false end between them, and returns what the server
// says, a line each, from the reply to the first text on to its goodbye. A server that
// sees one message answers once; so no answer is waited for that may not come.
func (l *Letter) smuggle(line *line, name string) (answers []string, err error) {
	commands := l.commands()
	for _, command := range commands {
		if _, err := line.ask(command); err != nil {
			return nil, err
		}
	}
	second := strings.Join(commands, "\r\n") + "\r\n" + l.text(name)
	if err := line.say(l.text(name) + l.FalseEnd + second + "\r\n."); err != nil {
		return nil, err
	}
	said := "the message"
	for len(answers) < maxAnswers {
		reply, err := line.reply(said)
		if refused := new(*refusal); err != nil && !errors.As(err, refused) {
			break // it hung up, which is an answer, too
		}
		answers = append(answers, reply[len(reply)-1])
		if strings.HasPrefix(reply[0], "221") {
			break
		}
		if said != line.quit {
			said = line.quit
			_ = line.say(said) // if it fails, so does the next reply
		}
	}
	if answers == nil {
		return nil, errors.New("the server closed the connection in place of a reply to the message")
	}
	return answers, nil
}
