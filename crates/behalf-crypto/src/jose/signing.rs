//! Private keys and the tokens they sign.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use behalf_core::Secret;
use serde_json::{Value, json};
use thiserror::Error;

use super::verify::TOKEN_BYTES_MAX;
use super::verifying::VerifyingKey;
use super::{Algorithm, KeyError, rsa_der};
use crate::base64url;

/// A token could not be signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignError {
    /// A token's payload is a JSON object.
    #[error("claims are a JSON object")]
    ClaimsNotAnObject,
    /// The token would be longer than any reader here accepts.
    #[error("the token would be longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// The provider refused to sign.
    #[error("signing failed")]
    Signing,
}

/// A private key, parsed once, with the name that its tokens carry.
///
/// An RSA signature takes about a millisecond: sign off the async workers.
pub struct SigningKey {
    algorithm: Algorithm,
    pair: Pair,
    public: VerifyingKey,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// A fresh key; RSA with 2048 bits.
    ///
    /// # Errors
    /// If the provider fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Generation;
        let pair = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 => {
                Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?))
            }
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
                Pair::Ecdsa(Box::new(pair.map_err(failed)?))
            }
            Algorithm::EdDSA => {
                Pair::Ed25519(Box::new(Ed25519KeyPair::generate().map_err(failed)?))
            }
        };
        Self::new(algorithm, pair)
    }

    /// The key in an unencrypted PKCS #8 document (DER).
    ///
    /// # Errors
    /// If the document holds no key for `algorithm`, or an RSA key that is too short or too long.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &Secret<Vec<u8>>) -> Result<Self, KeyError> {
        let der = pkcs8.expose();
        let refused = |_| KeyError::Pkcs8(algorithm);
        let pair = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 => {
                Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(der).map_err(refused)?))
            }
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
                Pair::Ecdsa(Box::new(pair.map_err(refused)?))
            }
            Algorithm::EdDSA => {
                Pair::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8(der).map_err(refused)?))
            }
        };
        Self::new(algorithm, pair)
    }

    fn new(algorithm: Algorithm, pair: Pair) -> Result<Self, KeyError> {
        let public = match &pair {
            Pair::Rsa(pair) => {
                let (n, e) = rsa_der::modulus_and_exponent(pair.public_key().as_ref())
                    .ok_or(KeyError::Pkcs8(algorithm))?;
                VerifyingKey::from_rsa(algorithm, n, e)?
            }
            Pair::Ecdsa(pair) => VerifyingKey::from_p256(pair.public_key().as_ref())?,
            Pair::Ed25519(pair) => VerifyingKey::from_ed25519(pair.public_key().as_ref())?,
        };
        Ok(Self { algorithm, pair, public })
    }

    /// The key as an unencrypted PKCS #8 document (DER), to be sealed before it is stored.
    ///
    /// # Errors
    /// If the provider cannot encode the key.
    pub fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, KeyError> {
        let failed = |_| KeyError::Pkcs8(self.algorithm);
        let bytes = match &self.pair {
            Pair::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                der.as_ref().to_vec()
            }
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.to_pkcs8().map_err(failed)?.as_ref().to_vec(),
        };
        Ok(Secret::new(bytes))
    }

    /// What the key signs with.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's name: its RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// The public half.
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// The public half as a JWK with `kty`, `alg`, `use`, `kid` and the key's numbers.
    pub fn public_jwk(&self) -> Value {
        self.public.public_jwk()
    }

    /// `claims` as a compact JWS of type `typ`, e.g. `at+jwt`.
    ///
    /// # Errors
    /// If `claims` is no object or the token would be longer than [`TOKEN_BYTES_MAX`].
    pub fn sign(&self, typ: &str, claims: &Value) -> Result<String, SignError> {
        if !claims.is_object() {
            return Err(SignError::ClaimsNotAnObject);
        }
        let header = json!({"alg": self.algorithm.as_str(), "kid": self.kid(), "typ": typ});
        let mut token = base64url::encode(header.to_string().as_bytes());
        token.push('.');
        token.push_str(&base64url::encode(claims.to_string().as_bytes()));
        if token.len() > TOKEN_BYTES_MAX {
            return Err(SignError::TooLong);
        }
        let signature = self.sign_bytes(token.as_bytes())?;
        token.push('.');
        token.push_str(&base64url::encode(&signature));
        if token.len() > TOKEN_BYTES_MAX {
            return Err(SignError::TooLong);
        }
        Ok(token)
    }

    pub(super) fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        let failed = |_| SignError::Signing;
        match &self.pair {
            Pair::Rsa(pair) => {
                let padding = match self.algorithm {
                    Algorithm::PS256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Pair::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}
