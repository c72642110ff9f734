package persona

import (
	"reflect"
	"slices"

	utls "github.com/refraction-networking/utls"
)

// A shape has no more than the client behind it can do, whatever the library that it is
// like offers besides: no finite-field or X448 key exchange, no CCM, no
// encrypt_then_mac. Otherwise a healthy persona would fail for its own lack.

// hello is a ClientHello with these suites and extensions.
func hello(suites []uint16, extensions ...utls.TLSExtension) *utls.ClientHelloSpec {
	return &utls.ClientHelloSpec{CipherSuites: suites, CompressionMethods: []uint8{0}, Extensions: extensions}
}

// with returns spec with extensions in the places of those of the same type.
func with(spec *utls.ClientHelloSpec, extensions ...utls.TLSExtension) *utls.ClientHelloSpec {
	for _, extension := range extensions {
		kind := reflect.TypeOf(extension)
		i := slices.IndexFunc(spec.Extensions, func(e utls.TLSExtension) bool { return reflect.TypeOf(e) == kind })
		spec.Extensions[i] = extension
	}
	return spec
}

// without returns spec without the extension of type E.
func without[E utls.TLSExtension](spec *utls.ClientHelloSpec) *utls.ClientHelloSpec {
	spec.Extensions = slices.DeleteFunc(spec.Extensions, func(e utls.TLSExtension) bool {
		_, is := e.(E)
		return is
	})
	return spec
}

func versions(v ...uint16) *utls.SupportedVersionsExtension {
	return &utls.SupportedVersionsExtension{Versions: v}
}

func groups(g ...utls.CurveID) *utls.SupportedCurvesExtension {
	return &utls.SupportedCurvesExtension{Curves: g}
}

func signatures(s ...utls.SignatureScheme) *utls.SignatureAlgorithmsExtension {
	return &utls.SignatureAlgorithmsExtension{SupportedSignatureAlgorithms: s}
}

// keyShares brings keys for groups. The client behind can use that of the first alone.
func keyShares(groups ...utls.CurveID) *utls.KeyShareExtension {
	extension := new(utls.KeyShareExtension)
	for _, group := range groups {
		extension.KeyShares = append(extension.KeyShares, utls.KeyShare{Group: group})
	}
	return extension
}

// serverName is a server_name extension (RFC 6066, Section 3) with any text for a name.
func serverName(name string) *utls.GenericExtension {
	entry := append([]byte{0, byte(len(name) >> 8), byte(len(name))}, name...)
	return &utls.GenericExtension{Data: append([]byte{byte(len(entry) >> 8), byte(len(entry))}, entry...)}
}
