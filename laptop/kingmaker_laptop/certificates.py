"""Make the certificates of one cluster: an authority that stays, one certificate that is made anew at each start."""

import datetime as dt
import ipaddress
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kingmaker_laptop.files import write_private
from kingmaker_laptop.home import Home

_AUTHORITY_YEARS: Final = 20
_LEAF_YEARS: Final = 2
_BACKDATED: Final = dt.timedelta(hours=1)
"""A clock that is set back a little must not make a new certificate invalid."""

_NAMES: Final = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


def prepare_certificates(home: Home, *, service_address: str, now: dt.datetime) -> None:
    """Write `ca.crt`, `server.crt`, `server.key` and `service-accounts.key` into the home's credentials.

    Args:
        home: Its authority and its key of ServiceAccount tokens are kept when they exist: users hold what they signed.
        service_address: IP address of the Service `kubernetes`.
        now: Aware time from which the certificates hold.
    """
    folder = home.credentials
    accounts = folder / "service-accounts.key"
    if not accounts.exists():
        write_private(accounts, _pem(ec.generate_private_key(ec.SECP256R1())))
    if not (folder / "ca.crt").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        authority = _authority(key, now)
        write_private(folder / "ca.key", _pem(key))
        write_private(folder / "ca.crt", authority.public_bytes(serialization.Encoding.PEM).decode())
    signer = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    authority = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = _leaf(key, authority, signer, service_address, now)
    write_private(folder / "server.key", _pem(key))
    write_private(folder / "server.crt", leaf.public_bytes(serialization.Encoding.PEM).decode())


def _authority(key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> x509.Certificate:
    name = _name("kingmaker-local")
    builder = _certificate(name, name, key, now, _AUTHORITY_YEARS)
    usage = _key_usage(signs_certificates=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return builder.sign(key, hashes.SHA256())


def _leaf(
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    signer: ec.EllipticCurvePrivateKey,
    service_address: str,
    now: dt.datetime,
) -> x509.Certificate:
    # One certificate for every program of the control plane, as server and as client: all of them are one user's
    # processes, and to the API server it proves no right to anything (system:masters has a token).
    builder = _certificate(_name("kingmaker-control-plane"), authority.subject, key, now, _LEAF_YEARS)
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", service_address)]
    names = x509.SubjectAlternativeName([*(x509.DNSName(name) for name in _NAMES), *addresses])
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(purposes, critical=False)
    builder = builder.add_extension(issuer, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime, years: int
) -> x509.CertificateBuilder:
    end = now + dt.timedelta(days=365 * years)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - _BACKDATED).not_valid_after(end)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    # Kubernetes finds the public half of a ServiceAccount key in this layout only, not in PKCS 8.
    encoding, layout = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(encoding, layout, serialization.NoEncryption()).decode()
