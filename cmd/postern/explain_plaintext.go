package main

import (
	"fmt"

	"postern/internal/capture"
	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/interop"
)

// conversationLine is the head of a conversation: its addresses and what was sent in plaintext.
func conversationLine(c *capture.Conversation) string {
	line := fmt.Sprintf("%s  %s → %s", localTime(c.Start), c.Client, c.Server)
	if c.EHLO != "" {
		line += ", EHLO " + safetext.Printable(c.EHLO)
	}
	switch {
	case c.Refusal != "":
		line += ", STARTTLS refused: " + safetext.Printable(c.Refusal)
	case c.InPlaintext:
		line += ", both sides go on in plaintext after STARTTLS"
	case c.Transcript != nil:
	case c.Offer == capture.OfferMasked:
		line += ", a firewall masks STARTTLS"
	case c.Offer == capture.NotOffered:
		line += ", the server does not offer STARTTLS"
	case c.Offer == capture.Offered && !c.StartTLS:
		line += ", the client does not ask for STARTTLS, which the server offers"
	}
	switch {
	case c.Transcript != nil:
	case c.MailAccepted:
		line += ", mail is accepted without TLS"
	case c.Mail:
		line += ", sends mail without TLS"
	case c.MissingBytes > 0 && !c.InPlaintext:
		line += ", no TLS in what was captured"
	case c.Offer == capture.OfferUnknown && !c.InPlaintext:
		line += ", without TLS"
	}
	if c.MissingBytes > 0 {
		line += fmt.Sprintf(", %d bytes missing in the capture", c.MissingBytes)
	}
	return line
}

// explainPlaintext says what a connection means that goes on in plaintext after STARTTLS.
func explainPlaintext(ui terminal.UI, c *capture.Conversation) {
	if c.InPlaintext {
		ui.Paragraph("meaning", "The server accepted STARTTLS, then commands that are not encrypted. Either the capture was made "+
			"behind a device that decrypts, such as a load balancer or a mirror port; or a device on the path answers STARTTLS itself "+
			"and removes TLS. It is not a failed handshake.")
	}
}

// diagnosePlaintext returns the case of a connection without a handshake, if there is one.
func diagnosePlaintext(c *capture.Conversation) []interop.Diagnosis {
	if c.Offer != capture.OfferMasked || c.InPlaintext {
		return nil
	}
	firewall, _ := interop.Find("inspected-by-firewall")
	return []interop.Diagnosis{{Case: firewall, Confidence: interop.AlmostCertain, Observations: []interop.Observation{
		{Text: fmt.Sprintf("the server's side sent %q, and no STARTTLS in the reply to EHLO", c.Mask), Message: -1},
	}}}
}
