//! A certificate authority for development: made once, it issues the server's certificate.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use behalf_core::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::data_dir::write_private;

/// Every name that the development certificate is for.
const NAMES: [&str; 8] = [
    "localhost",
    "*.localhost",
    "127.0.0.1",
    "::1",
    "*.behalf.test",
    "behalf.test",
    "mtls.localhost",
    "mtls.behalf.test",
];

/// The authority's files.
#[derive(Debug)]
pub(crate) struct DevCa {
    dir: PathBuf,
}

impl DevCa {
    /// The authority in `data/dev-ca`, made if it is absent.
    pub(crate) fn open(data: &Path) -> anyhow::Result<Self> {
        let dir = data.join("dev-ca");
        let ca = Self { dir };
        if !ca.certificate().exists() {
            fs::create_dir_all(&ca.dir)
                .with_context(|| format!("cannot make {}", ca.dir.display()))?;
            ca.create()?;
        }
        Ok(ca)
    }

    /// The authority's certificate, for others to trust.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    fn create(&self) -> anyhow::Result<()> {
        let key = KeyPair::generate()?;
        let certificate = authority().self_signed(&key)?;
        write_private(&self.dir.join("ca.key"), key.serialize_pem().as_bytes())?;
        fs::write(self.certificate(), certificate.pem())
            .with_context(|| format!("cannot write {}", self.certificate().display()))
    }

    /// A fresh certificate for this start, valid for 90 days.
    pub(crate) fn issue(&self, now: Timestamp) -> anyhow::Result<ServerCertificate> {
        let key = fs::read_to_string(self.dir.join("ca.key")).context("the CA's key is gone")?;
        let issuer = Issuer::new(authority(), KeyPair::from_pem(&key)?);
        let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
        params.distinguished_name.push(DnType::CommonName, "Behalf (development)");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let day = |time: Timestamp| -> anyhow::Result<_> {
            let date = jiff::Timestamp::from_microsecond(time.as_micros())?
                .to_zoned(jiff::tz::TimeZone::UTC)
                .date();
            Ok(date_time_ymd(
                i32::from(date.year()),
                u8::try_from(date.month())?,
                u8::try_from(date.day())?,
            ))
        };
        params.not_before = day(now.minus(Duration::from_hours(24)))?;
        params.not_after = day(now.plus(Duration::from_hours(90 * 24)))?;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(ServerCertificate {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der())
                .map_err(|error| anyhow::anyhow!("{error}"))?,
        })
    }
}

/// What the authority's certificate says; with its key, all that signing needs.
fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, "Behalf development CA");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2045, 1, 1);
    params
}

/// A certificate chain and its key.
pub(crate) struct ServerCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl ServerCertificate {
    /// Reads PEM files.
    pub(crate) fn read(chain: &Path, key: &Path) -> anyhow::Result<Self> {
        let place = chain.display();
        let chain = CertificateDer::pem_file_iter(chain)
            .with_context(|| format!("cannot read {place}"))?
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("{place} is not PEM"))?;
        let key = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("cannot read the key in {}", key.display()))?;
        Ok(Self { chain, key })
    }

    /// The first host name that it is for.
    pub(crate) fn first_name(&self) -> anyhow::Result<Option<String>> {
        let Some(leaf) = self.chain.first() else { return Ok(None) };
        let leaf = webpki::EndEntityCert::try_from(leaf).context("the certificate is broken")?;
        Ok(leaf.valid_dns_names().next().map(str::to_owned))
    }

    /// The TLS configuration: HTTP/2 and HTTP/1.1, TLS 1.2 and 1.3.
    pub(crate) fn into_config(self) -> anyhow::Result<Arc<rustls::ServerConfig>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)
            .context("the certificate and the key do not fit")?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
