//! A certificate authority of a test's own, and the wildcard certificate it signs.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// A wildcard certificate with its key, and the authority to trust for it; all PEM.
#[derive(Debug, Clone)]
pub struct Wildcard {
    /// The authority: what clients trust.
    pub authority: String,
    /// The certificate for `<zone>` and `*.<zone>`.
    pub certificate: String,
    /// Its private key. It signs for nothing outside a test.
    pub key: String,
}

/// How long a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Longer than any test.
    Lasting,
    /// Not any more, as one that nobody renewed.
    Expired,
}

/// Makes an authority and lets it sign for `zone` and every name directly below it.
///
/// # Errors
/// `zone` is not a domain name.
pub fn wildcard(zone: &str, validity: Validity) -> Result<Wildcard, rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "cc-ci test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);
    let mut leaf = CertificateParams::new(vec![zone.to_owned(), format!("*.{zone}")])?;
    leaf.distinguished_name.push(DnType::CommonName, zone);
    if validity == Validity::Expired {
        leaf.not_before = rcgen::date_time_ymd(2001, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(2001, 4, 1);
    }
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &issuer)?;
    Ok(Wildcard {
        authority: authority_certificate.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}
