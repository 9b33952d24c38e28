//! Whose certificates are believed.
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::Error;

/// Largest file with certificates: those of a whole operating system are half of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The authorities whose certificates are believed.
#[derive(Clone, Debug)]
pub struct Trust(pub(super) Arc<ClientConfig>);

impl Trust {
    /// Those that browsers believe.
    pub fn public() -> Result<Self, Error> {
        Self::of(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// Those alone whose certificates a file holds, in PEM.
    pub fn private(file: &Path) -> Result<Self, Error> {
        let named = |what: String| Error::Trust(format!("{}: {what}", file.display()));
        let mut bytes = Vec::new();
        let opened = File::open(file).map_err(|cause| named(format!("cannot be read: {cause}")))?;
        let read = opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|cause| named(format!("cannot be read: {cause}")))?;
        if FILE_BYTES_MAX < bytes.len() as u64 {
            return Err(named("is larger than 1 MiB".to_owned()));
        }
        let mut roots = RootCertStore::empty();
        for found in CertificateDer::pem_slice_iter(&bytes) {
            let certificate = found.map_err(|_| named("is no file of certificates (PEM)".to_owned()))?;
            roots.add(certificate).map_err(|cause| named(format!("has a certificate that is none: {cause}")))?;
        }
        if roots.is_empty() {
            return Err(named("has no certificate in it (PEM)".to_owned()));
        }
        Self::of(roots)
    }

    fn of(roots: RootCertStore) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|cause| Error::Trust(cause.to_string()))?;
        let mut config = versions.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}
