#!/bin/sh
# How to put Postern in front of a Maildir on mx.example.org. Nothing has been
# changed so far. Read this, then run it as root, as a whole or step by step.
#
# Found:
#   hostname      mx.example.org
#   addresses     none
#   port 25       none
#   certificate   /etc/letsencrypt/live/mx.example.org/fullchain.pem: ECDSA for
#                 mx.example.org, until 2090-01-02 (certbot)
#   note          The MX records of 1 more domains were not looked up.
#
# Senders then deliver to Postern on port 25, and Postern stores the messages in
# the Maildir /var/lib/postern/maildir.
set -eu

# 1. Make the user that Postern runs as.
id -u postern >/dev/null 2>&1 || useradd --system --user-group --home-dir /var/lib/postern --no-create-home --shell /usr/sbin/nologin postern

# 2. Write the configuration. (postern setup --write does that.)
mkdir -p /etc/postern
[ ! -e /etc/postern/postern.toml ] || [ -e /etc/postern/postern.toml.before-setup ] || cp -p /etc/postern/postern.toml /etc/postern/postern.toml.before-setup
cat >/etc/postern/postern.toml <<'END'
# Made by postern setup. Other keys have their defaults.

hostname = "mx.example.org"
domains = ["example.org"]
listen = [":25"]
data = "/var/lib/postern"

# Postern stores TLS reports; postern report shows them.
[reports]
addresses = ["tls-reports@example.org"]
delivery = "only"

[[certificate]]
cert = "/etc/postern/mx.example.org-ecdsa.pem"
key = "/etc/postern/mx.example.org-ecdsa.key"
END
chmod 644 /etc/postern/postern.toml

# 3. Write the program that copies the certificates, which only root can read.
#    (postern setup --write does that.)
cat >/etc/postern/copy-certificates <<'END'
#!/bin/sh
# Copies certificates to where Postern can read them, after they were renewed.
# Postern loads them by itself.
set -e
install -m 640 -g postern /etc/letsencrypt/live/mx.example.org/fullchain.pem /etc/postern/mx.example.org-ecdsa.pem
install -m 640 -g postern /etc/letsencrypt/live/mx.example.org/privkey.pem /etc/postern/mx.example.org-ecdsa.key
END
chmod 755 /etc/postern/copy-certificates

# 4. Copy the certificates now, and after each renewal.
/etc/postern/copy-certificates
mkdir -p /etc/letsencrypt/renewal-hooks/deploy
ln -sf /etc/postern/copy-certificates /etc/letsencrypt/renewal-hooks/deploy/postern

# 5. Check the configuration as the user that Postern runs as.
install -d -m 700 -o postern -g postern /var/lib/postern
runuser -u postern -- postern serve --config /etc/postern/postern.toml --check

# 6. Start Postern, with what starts services here. It has to run as its user,
#    with the right to listen on port 25 (CAP_NET_BIND_SERVICE):
#    postern serve --config /etc/postern/postern.toml

# 7. See that it works. The first of these examines this machine. From another
#    machine, the second arrives, and the third is refused with 550:
#    postern doctor
#    swaks --server mx.example.org --tls --to postmaster@example.org
#    swaks --server mx.example.org --tls --to someone@example.com

# 8. Publish DNS records. postern dns DOMAIN prints them too, with those of
#    DANE; with --check it compares them with what is published.
#    example.org.	3600	IN	MX	10 mx.example.org.
#    _smtp._tls.example.org.	3600	IN	TXT	"v=TLSRPTv1; rua=mailto:tls-reports@example.org;"

# To go back:
#    # stop Postern, with what starts services here
#    rm /etc/letsencrypt/renewal-hooks/deploy/postern
#    [ ! -e /etc/postern/postern.toml.before-setup ] || mv /etc/postern/postern.toml.before-setup /etc/postern/postern.toml
