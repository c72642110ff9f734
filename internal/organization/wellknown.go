package organization

// Other is the label of organizations that are not well known, and of the unknown one.
const Other = "other"

// wellKnown are the large senders: the domains of the hosts that their mail leaves from, each
// with a source. A label is a value of a metric's label: do not rename one.
var wellKnown = []struct {
	label, domain string
	source        string // a page, or the SPF record by which the provider names its hosts
}{
	{"amazonses", "amazonses.com", "TXT amazonses.com"},
	{"apple", "apple.com", "https://support.apple.com/en-us/102322"},
	{"apple", "icloud.com", "TXT icloud.com"},
	{"apple", "me.com", "https://support.apple.com/en-us/102322"},
	{"fastmail", "messagingengine.com", "TXT spf.messagingengine.com"},
	{"google", "google.com", "TXT _spf.google.com"},
	{"hubspot", "hubspotemail.net", "TXT spf.hubspotemail.net"},
	{"mailchimp", "mandrillapp.com", "TXT spf.mandrillapp.com"},
	{"mailchimp", "mcsv.net", "TXT servers.mcsv.net"},
	{"mailgun", "mailgun.net", "TXT mailgun.org"},
	{"mailgun", "mailgun.org", "TXT mailgun.org"},
	{"mailjet", "mailjet.com", "TXT spf.mailjet.com"},
	{"mimecast", "mimecast.com", "TXT _netblocks.mimecast.com"},
	{"outlook.com", "outlook.com", "https://github.com/golang/go/issues/70232"},
	{"postmark", "mtasv.net", "TXT spf.mtasv.net"},
	{"proofpoint", "pphosted.com", "TXT pphosted.com"},
	{"proton", "protonmail.ch", "TXT _spf.protonmail.ch"},
	{"sendgrid", "sendgrid.net", "TXT sendgrid.net"},
	{"sparkpost", "sparkpostmail.com", "TXT sparkpostmail.com"},
	{"yahoo", "yahoo.com", "TXT _spf.mail.yahoo.com"},
	{"zendesk", "zendesk.com", "TXT mail.zendesk.com"},
	{"zoho", "zoho.com", "TXT zoho.com"},
}

var labels = labelsByDomain()

func labelsByDomain() map[string]string {
	all := make(map[string]string)
	for _, known := range wellKnown {
		all[known.domain] = known.label
	}
	return all
}

// Label returns a short name of a fixed list, such as "google", or [Other]: a client cannot
// make up values. By EHLO any client can claim to be a well-known organization.
func (o Organization) Label() string {
	if label := labels[o.Domain]; label != "" {
		return label
	}
	return Other
}

// Labels returns all values of [Organization.Label], in order.
func Labels() (all []string) {
	last := ""
	for _, known := range wellKnown {
		if known.label != last {
			all = append(all, known.label)
			last = known.label
		}
	}
	return append(all, Other)
}
