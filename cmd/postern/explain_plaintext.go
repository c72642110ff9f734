package main

import (
	"fmt"

	"postern/internal/capture"
	"postern/internal/safetext"
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
	case c.InClear:
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
	case c.Offer == capture.OfferUnknown && !c.InClear:
		line += ", without TLS"
	}
	if c.MissingBytes > 0 {
		line += fmt.Sprintf(", %d bytes missing in the capture", c.MissingBytes)
	}
	return line
}

// plaintext explains a conversation without a handshake.
func (o *explainOutput) plaintext(c *capture.Conversation) error {
	if c.InClear && !o.json {
		o.ui.Paragraph("meaning", "The server accepted STARTTLS, then commands that are not encrypted. Either the capture was made "+
			"behind a device that decrypts, such as a load balancer or a mirror port; or a device on the path answers STARTTLS itself "+
			"and removes TLS. It is not a failed handshake.")
	}
	if c.Offer != capture.OfferMasked || c.InClear {
		return nil
	}
	o.diagnosed++
	firewall, _ := interop.Find("inspected-by-firewall")
	d := interop.Diagnosis{Case: firewall, Confidence: interop.AlmostCertain, Observations: []interop.Observation{
		{Text: fmt.Sprintf("the server's side sent %q, and no STARTTLS in the reply to EHLO", c.Mask), Message: -1},
	}}
	if o.json {
		return o.ui.JSON(explainedJSON{Failed: true, Cases: []diagnosisJSON{toDiagnosisJSON(d)}})
	}
	printDiagnosis(o.ui, d, true)
	return nil
}
