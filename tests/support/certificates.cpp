#include "support/certificates.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <stdexcept>

namespace redismutex::testing {
namespace {

template <auto free>
struct FreedBy {
  template <class T>
  void operator()(T* object) const {
    free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, FreedBy<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, FreedBy<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, FreedBy<X509_EXTENSION_free>>;
using File = std::unique_ptr<std::FILE, FreedBy<std::fclose>>;

constexpr long day = 24 * 60 * 60;

struct Identity {
  Key key;
  Certificate certificate;
};

/// `result`, unless it says that an OpenSSL call failed.
template <class Result>
Result succeeded(Result result) {
  if (!result) throw std::runtime_error("OpenSSL could not make a certificate");
  return result;
}

struct Subject {
  const char* common_name;
  const char* alternative_names = nullptr;  // in OpenSSL's notation
  bool is_authority = false;
  long valid_until = 30 * day;  // seconds from now
};

void add_extension(X509* certificate, int kind, const char* value) {
  const Extension extension(succeeded(X509V3_EXT_conf_nid(nullptr, nullptr, kind, value)));
  succeeded(X509_add_ext(certificate, extension.get(), -1));
}

/// A new key and a certificate for it, signed by `issuer` or, without one, by itself.
Identity issue(const Subject& subject, const Identity* issuer) {
  static long serial = 0;
  Identity made{Key(succeeded(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"))), Certificate(succeeded(X509_new()))};
  X509* certificate = made.certificate.get();
  succeeded(X509_set_version(certificate, X509_VERSION_3));
  succeeded(ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial));
  succeeded(X509_gmtime_adj(X509_getm_notBefore(certificate), -2 * day));
  succeeded(X509_gmtime_adj(X509_getm_notAfter(certificate), subject.valid_until));
  succeeded(X509_set_pubkey(certificate, made.key.get()));
  const auto* name = reinterpret_cast<const unsigned char*>(subject.common_name);
  succeeded(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, name, -1, -1, 0));
  const Identity& signer = issuer != nullptr ? *issuer : made;
  succeeded(X509_set_issuer_name(certificate, X509_get_subject_name(signer.certificate.get())));
  if (subject.is_authority) add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  if (subject.alternative_names != nullptr) {
    add_extension(certificate, NID_subject_alt_name, subject.alternative_names);
  }
  succeeded(X509_sign(certificate, signer.key.get(), EVP_sha256()));
  return made;
}

KeyPair save(const Identity& identity, const TempDir& directory, const std::string& name) {
  KeyPair files{directory.file(name + ".crt"), directory.file(name + ".key")};
  const File certificate(succeeded(std::fopen(files.certificate_file.c_str(), "w")));
  succeeded(PEM_write_X509(certificate.get(), identity.certificate.get()));
  const File key(succeeded(std::fopen(files.key_file.c_str(), "w")));
  succeeded(PEM_write_PrivateKey(key.get(), identity.key.get(), nullptr, nullptr, 0, nullptr, nullptr));
  return files;
}

int write_traditionally(std::FILE* file, const EVP_PKEY* key, const EVP_CIPHER* cipher, unsigned char* passphrase,
                        int size, pem_password_cb* callback, void* data) {
  const std::unique_ptr<BIO, FreedBy<BIO_free>> out(succeeded(BIO_new_fp(file, BIO_NOCLOSE)));
  return PEM_write_bio_PrivateKey_traditional(out.get(), key, cipher, passphrase, size, callback, data);
}

/// The same certificate with its key in a file of its own, written by `write`.
template <class Write>
KeyPair save_encrypted(const Identity& identity, const KeyPair& plain, const std::string& key_file, Write write) {
  const File file(succeeded(std::fopen(key_file.c_str(), "w")));
  unsigned char passphrase[] = "passphrase";
  succeeded(write(file.get(), identity.key.get(), EVP_aes_128_cbc(), passphrase, 10, nullptr, nullptr));
  return {plain.certificate_file, key_file};
}

}  // namespace

Certificates::Certificates() {
  const auto make = [&](const Subject& subject, const Identity* issuer, const std::string& file) {
    return save(issue(subject, issuer), directory_, file);
  };
  const auto ca = issue({.common_name = "test authority", .is_authority = true}, nullptr);
  const char* here = "DNS:localhost,IP:127.0.0.1,IP:::1";
  ca_ = save(ca, directory_, "ca");
  other_ca_ = make({.common_name = "other authority", .is_authority = true}, nullptr, "other-ca");
  server_ = make({.common_name = "server", .alternative_names = here}, &ca, "server");
  expired_server_ = make({.common_name = "server", .alternative_names = here, .valid_until = -day}, &ca, "expired");
  wrong_name_server_ = make({.common_name = "server", .alternative_names = "DNS:elsewhere.example"}, &ca, "elsewhere");
  const auto client = issue({.common_name = "client"}, &ca);
  client_ = save(client, directory_, "client");
  encrypted_client_ = save_encrypted(client, client_, directory_.file("encrypted.key"), PEM_write_PrivateKey);
  traditionally_encrypted_client_ =
      save_encrypted(client, client_, directory_.file("traditional.key"), write_traditionally);
}

}  // namespace redismutex::testing
