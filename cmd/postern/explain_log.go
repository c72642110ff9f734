package main

import (
	"crypto/tls"
	"fmt"
	"slices"

	"postern/handshake"
	"postern/internal/safetext"
	"postern/internal/tlslog"
	"postern/interop"
)

// explainLog explains a session in the log of another program.
func explainLog(s tlslog.Session) explained {
	e := explained{log: &s, result: plaintext}
	switch {
	case s.Transcript != nil:
		e = explain(nil, s.Transcript, interop.Context{})
		e.log = &s
	case s.Completed:
		e.result = complete
	case s.Err != "":
		e.result = failedUnknown
	}
	if s.Refused != "" && e.caseID() != certificateRefused {
		refused, _ := interop.Find(certificateRefused)
		e.diagnoses = slices.Insert(e.diagnoses, 0, interop.Diagnosis{Case: refused, Confidence: interop.AlmostCertain, Observations: []interop.Observation{
			{Text: fmt.Sprintf("%s says that it refused the certificate: %q", s.Program, s.Refused), Message: -1},
		}})
		e.result = failedKnown
	}
	return e
}

const certificateRefused = "certificate-refused"

// log prints a session in the log of another program.
func (o *explainOutput) log(e explained) {
	if e.transcript != nil {
		printExplanation(o.ui, e.transcript, e.diagnoses, e.failed(), o.diagram)
	} else {
		result := "did not start"
		switch {
		case e.log.Completed:
			result = "complete, " + e.log.Negotiated
		case e.log.Err != "":
			result = "failed: " + e.log.Err
		}
		o.ui.Paragraph("TLS", safetext.Printable(result))
		for _, d := range e.diagnoses {
			fmt.Fprintln(o.ui.Out)
			printDiagnosis(o.ui, d, true)
		}
	}
	fmt.Fprintln(o.ui.Out)
	for _, text := range logLimits(e.log) {
		o.ui.Paragraph("log", text)
	}
}

// logLimits says what a log does not show.
func logLimits(s *tlslog.Session) (texts []string) {
	t := s.Transcript
	if t == nil {
		return []string{fmt.Sprintf("%s lists no handshake messages. If TLS fails, run openssl s_client -trace, or capture the packets.", s.Program)}
	}
	texts = append(texts, fmt.Sprintf("Read from a log of %s. Times are not known, and not what shared a write.", s.Program))
	if s.Negotiated != "" {
		texts = append(texts, "It says that the handshake is complete: "+safetext.Printable(s.Negotiated)+".")
	}
	if s.Program == "Postfix" && t.Completed {
		texts = append(texts, "It does not say how a complete handshake's connection ended, or who closed it.")
	}
	ticket := slices.ContainsFunc(t.Messages, func(m handshake.Message) bool { return m.Type == handshake.TypeNewSessionTicket })
	if ticket && t.View == handshake.AtClient && t.ServerHello != nil && t.ServerHello.Version == tls.VersionTLS13 {
		texts = append(texts, "A client lists a session ticket when it reads it, after it has sent its Finished. "+
			"So this log cannot show whether the server sent the ticket before: a capture does.")
	}
	if t.End.Kind == handshake.EndClosed && t.End.After < len(t.Messages) {
		texts = append(texts, "OpenSSL sends decode_error when the other side closes the connection without an alert.")
	}
	if !t.Completed && t.End.Kind == handshake.EndOpen {
		texts = append(texts, "It does not say how the connection ended. Postfix's mail log does: SSL_accept error, or lost connection.")
	}
	if s.Truncated {
		texts = append(texts, "It is truncated: raise smtpd_tls_trace_size_limit.")
	}
	return texts
}
