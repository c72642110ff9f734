package relay

import "crypto/tls"

func (o *opening) implicitTLS() error {
	if o.hop.config.TLS != TLSImplicit {
		return nil
	}
	return o.secure()
}

// secure puts TLS over the connection.
func (o *opening) secure() error {
	config := &o.hop.config
	over := tls.Client(o.conn.raw, o.hop.tls)
	if err := over.Handshake(); err != nil {
		return &tlsError{config.Name, config.verified(), err}
	}
	o.conn.wrap(over)
	o.conn.verified = config.verified()
	return nil
}

// startTLS uses STARTTLS if it is wanted and offered.
func (o *opening) startTLS() error {
	mode := o.hop.config.TLS
	if mode != TLSAuto && mode != TLSRequire {
		return nil
	}
	if !o.conn.caps.Has("STARTTLS") {
		if mode == TLSRequire {
			return &missingError{"STARTTLS", "starttls=require"}
		}
		return nil
	}
	reply, err := o.conn.ask("STARTTLS")
	if err := expect(220, reply, err); err != nil {
		return err
	}
	if o.conn.in.Buffered() > 0 {
		return errTurn // said in clear, perhaps by someone else
	}
	if err := o.secure(); err != nil {
		return err
	}
	return o.hello() // what was offered in clear is forgotten (RFC 3207, Section 4.2)
}
