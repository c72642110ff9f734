#!/bin/sh
# How to put Postern in front of Postfix on mx.example.org. Nothing has been
# changed so far. Read this, then run it as root, as a whole or step by step.
#
# Found:
#   hostname      mx.example.org
#   addresses     192.0.2.25, 2001:db8::25
#   MX records    example.org: mx.example.org
#   MX records    example.net: old.example.net
#   port 25       Postfix (process 612)
#   Postfix       3.7.11
#   certificate   none for mx.example.org
#   note          The MX records of example.net do not name mx.example.org: mail
#                 for it does not arrive here.
#   note          postscreen no longer sees the senders: put its block lists
#                 into smtpd_recipient_restrictions, as reject_rbl_client.
#
# Senders then deliver to Postern on port 25. Postern passes each message on to
# Postfix, which sees the sender's address by the PROXY protocol.
set -eu

# 1. Write the configuration. (postern setup --write does that.)
mkdir -p /etc/postern
[ ! -e /etc/postern/postern.toml ] || [ -e /etc/postern/postern.toml.before-setup ] || cp -p /etc/postern/postern.toml /etc/postern/postern.toml.before-setup
cat >/etc/postern/postern.toml <<'END'
# Made by postern setup. Other keys have their defaults.

hostname = "mx.example.org"
domains = ["example.org", "example.net"]
listen = ["192.0.2.25:25", "[2001:db8::25]:25"]
data = "/var/lib/postern"
next-hop = "smtp://127.0.0.1:10027?proxy=v2&connections=40"

# Postern stores TLS reports; postern report shows them.
[reports]
addresses = ["tls-reports@example.org", "tls-reports@example.net"]
delivery = "only"

# There is no certificate for mx.example.org yet: Postern makes a self-signed
# one, which most senders accept. It obtains one from Let's Encrypt if you remove the # below,
# and port 80 of this machine can be reached and is free.
#[web]
#listen-plain = [":80"]
#[acme]
END
chmod 644 /etc/postern/postern.toml

# 2. Check the configuration as the user that Postern runs as.
install -d -m 700 -o postern -g postern /var/lib/postern
runuser -u postern -- postern serve --config /etc/postern/postern.toml --check

# 3. Let Postfix take mail from Postern.
[ -e /etc/postfix/master.cf.before-postern ] || cp -p /etc/postfix/master.cf /etc/postfix/master.cf.before-postern
postconf -M '127.0.0.1:10027/inet=127.0.0.1:10027 inet n - y - - smtpd -o smtpd_milters=inet:127.0.0.1:8891 -o { smtpd_client_restrictions = permit_mynetworks, reject_rbl_client zen.example }'
postconf -P 127.0.0.1:10027/inet/syslog_name=postfix/door
postconf -P 127.0.0.1:10027/inet/inet_protocols=all
postconf -P 127.0.0.1:10027/inet/smtpd_upstream_proxy_protocol=haproxy
postconf -P 127.0.0.1:10027/inet/smtpd_relay_restrictions=reject_unauth_destination
postconf -P 127.0.0.1:10027/inet/smtpd_sasl_auth_enable=no
postconf -P 127.0.0.1:10027/inet/smtpd_tls_security_level=none
postfix reload

# 4. Take port 25 from Postfix. Senders that connect from here until Postern
#    runs try again later.
postconf -M# smtp/inet
postconf -M# '[2001:db8::26]:smtp/inet'
postconf -M '127.0.0.1:25/inet=127.0.0.1:25 inet n - y - - smtpd -o smtpd_milters=inet:127.0.0.1:8891 -o { smtpd_client_restrictions = permit_mynetworks, reject_rbl_client zen.example }'
postconf -M '[::1]:25/inet=[::1]:25 inet n - y - - smtpd -o smtpd_milters=inet:127.0.0.1:8891 -o { smtpd_client_restrictions = permit_mynetworks, reject_rbl_client zen.example }'
systemctl restart postfix

# 5. Start Postern.
systemctl enable postern
systemctl restart postern

# 6. See that it works. The first of these examines this machine. From another
#    machine, the second arrives, and the third is refused with 550:
#    postern doctor
#    swaks --server mx.example.org --tls --to postmaster@example.org
#    swaks --server mx.example.org --tls --to someone@example.com

# 7. Publish DNS records. postern dns DOMAIN prints them too, with those of
#    DANE; with --check it compares them with what is published.
#    example.org.	3600	IN	MX	10 mx.example.org.
#    _smtp._tls.example.org.	3600	IN	TXT	"v=TLSRPTv1; rua=mailto:tls-reports@example.org;"
#    example.net.	3600	IN	MX	10 mx.example.org.
#    _smtp._tls.example.net.	3600	IN	TXT	"v=TLSRPTv1; rua=mailto:tls-reports@example.net;"
#    mx.example.org needs an A or AAAA record for each of its public addresses.

# To go back:
#    systemctl disable --now postern
#    mv /etc/postfix/master.cf.before-postern /etc/postfix/master.cf
#    systemctl restart postfix
#    [ ! -e /etc/postern/postern.toml.before-setup ] || mv /etc/postern/postern.toml.before-setup /etc/postern/postern.toml
