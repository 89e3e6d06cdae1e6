# Declarations from the headers of OpenSSL's libssl and libcrypto: only what fastroute uses.

from libc.stdint cimport uint64_t


cdef extern from "<openssl/types.h>" nogil:
    ctypedef struct BIO
    ctypedef struct BIO_METHOD
    ctypedef struct EVP_CIPHER
    ctypedef struct EVP_CIPHER_CTX
    ctypedef struct EVP_MAC_CTX
    ctypedef struct EVP_MD
    ctypedef struct EVP_MD_CTX
    ctypedef struct EVP_PKEY
    ctypedef struct EVP_PKEY_CTX
    ctypedef struct OSSL_PARAM:
        pass
    ctypedef struct SSL
    ctypedef struct SSL_CTX
    ctypedef struct SSL_SESSION
    ctypedef struct X509
    ctypedef struct X509_EXTENSION
    ctypedef struct X509_NAME
    ctypedef struct X509_STORE
    ctypedef struct X509_STORE_CTX
    ctypedef struct X509_VERIFY_PARAM

cdef extern from "<openssl/crypto.h>" nogil:
    int CRYPTO_memcmp(const void *a, const void *b, size_t size)
    void OPENSSL_cleanse(void *memory, size_t size)
    void OPENSSL_free(void *memory)

cdef extern from "<openssl/err.h>" nogil:
    unsigned long ERR_peek_error()
    void ERR_clear_error()
    const char *ERR_reason_error_string(unsigned long error)
    int ERR_LIB_PEM
    int ERR_GET_LIB(unsigned long error)
    int ERR_GET_REASON(unsigned long error)

cdef extern from "<openssl/rand.h>" nogil:
    int RAND_bytes(unsigned char *into, int size)

cdef extern from "<openssl/bn.h>" nogil:
    ctypedef struct BIGNUM
    int BN_num_bits(const BIGNUM *number)
    void BN_free(BIGNUM *number)

cdef extern from "<openssl/bio.h>" nogil:
    const BIO_METHOD *BIO_s_mem()
    long BIO_get_mem_data(BIO *bio, char **data)
    int BIO_TYPE_SOURCE_SINK, BIO_CTRL_FLUSH
    BIO *BIO_new(const BIO_METHOD *method)
    BIO *BIO_new_mem_buf(const void *data, int size)
    int BIO_free(BIO *bio)
    void BIO_set_data(BIO *bio, void *data)
    void *BIO_get_data(BIO *bio)
    void BIO_set_init(BIO *bio, int init)
    void BIO_set_retry_read(BIO *bio)
    void BIO_set_retry_write(BIO *bio)
    void BIO_clear_retry_flags(BIO *bio)
    int BIO_get_new_index()
    BIO_METHOD *BIO_meth_new(int type, const char *name)
    int BIO_meth_set_read(BIO_METHOD *method, int (*read)(BIO *, char *, int) noexcept nogil)
    int BIO_meth_set_write(BIO_METHOD *method, int (*write)(BIO *, const char *, int) noexcept nogil)
    int BIO_meth_set_ctrl(BIO_METHOD *method, long (*ctrl)(BIO *, int, long, void *) noexcept nogil)

cdef extern from "<openssl/rsa.h>" nogil:
    int RSA_PSS_SALTLEN_DIGEST
    int EVP_PKEY_CTX_set_rsa_pss_saltlen(EVP_PKEY_CTX *how, int size)

cdef extern from "<openssl/evp.h>" nogil:
    int EVP_PKEY_DSA, EVP_PKEY_RSA, EVP_PKEY_RSA_PSS, EVP_PKEY_EC, EVP_PKEY_ED25519, EVP_PKEY_ED448
    int EVP_PKEY_get_bn_param(const EVP_PKEY *key, const char *name, BIGNUM **number)
    int EVP_PKEY_get_base_id(const EVP_PKEY *key)
    int EVP_PKEY_get_bits(const EVP_PKEY *key)
    void EVP_PKEY_free(EVP_PKEY *key)
    EVP_CIPHER *EVP_CIPHER_fetch(void *library, const char *name, const char *properties)
    int EVP_EncryptInit_ex(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, void *engine,
                           const unsigned char *key, const unsigned char *iv)
    int EVP_DecryptInit_ex(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, void *engine,
                           const unsigned char *key, const unsigned char *iv)
    int EVP_MAC_CTX_set_params(EVP_MAC_CTX *context, const OSSL_PARAM *params)
    const EVP_MD *EVP_sha256()
    int EVP_Digest(const void *data, size_t size, unsigned char *into, unsigned int *written, const EVP_MD *digest,
                   void *engine)
    EVP_MD_CTX *EVP_MD_CTX_new()
    void EVP_MD_CTX_free(EVP_MD_CTX *context)
    # `digest` NULL: the default digest of the key.
    int EVP_DigestSignInit(EVP_MD_CTX *context, EVP_PKEY_CTX **how, const EVP_MD *digest, void *engine, EVP_PKEY *key)
    int EVP_DigestSign(EVP_MD_CTX *context, unsigned char *into, size_t *size, const unsigned char *data, size_t count)
    int EVP_DigestVerifyInit(EVP_MD_CTX *context, EVP_PKEY_CTX **how, const EVP_MD *digest, void *engine, EVP_PKEY *key)
    int EVP_DigestVerify(EVP_MD_CTX *context, const unsigned char *signature, size_t size, const unsigned char *data,
                         size_t count)

cdef extern from "<openssl/params.h>" nogil:
    OSSL_PARAM OSSL_PARAM_construct_octet_string(const char *name, void *data, size_t size)
    OSSL_PARAM OSSL_PARAM_construct_utf8_string(const char *name, char *text, size_t size)
    OSSL_PARAM OSSL_PARAM_construct_end()

cdef extern from "<openssl/asn1.h>" nogil:
    ctypedef struct ASN1_STRING
    const unsigned char *ASN1_STRING_get0_data(const ASN1_STRING *text)
    int ASN1_STRING_length(const ASN1_STRING *text)

cdef extern from "<openssl/x509v3.h>" nogil:
    ctypedef struct GENERAL_NAME
    ctypedef struct GENERAL_NAMES
    int GEN_DNS, GEN_URI, NID_subject_alt_name, NID_name_constraints
    unsigned int X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS
    unsigned int X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS
    int X509_check_host(X509 *certificate, const char *name, size_t size, unsigned int flags, char **matched)
    void *X509_get_ext_d2i(const X509 *certificate, int kind, int *critical, int *index)
    int sk_GENERAL_NAME_num(const GENERAL_NAMES *names)
    GENERAL_NAME *sk_GENERAL_NAME_value(const GENERAL_NAMES *names, int index)
    void *GENERAL_NAME_get0_value(const GENERAL_NAME *name, int *kind)
    void GENERAL_NAMES_free(GENERAL_NAMES *names)

cdef extern from "<openssl/x509.h>" nogil:
    ctypedef struct X509_STACK "STACK_OF(X509)"
    void X509_free(X509 *certificate)
    int X509_up_ref(X509 *certificate)
    int i2d_X509(X509 *certificate, unsigned char **into)       # `into` NULL: the size only
    EVP_PKEY *X509_get0_pubkey(const X509 *certificate)
    int X509_check_private_key(const X509 *certificate, const EVP_PKEY *key)
    X509_STACK *sk_X509_new_null()
    int sk_X509_push(X509_STACK *stack, X509 *certificate)
    int sk_X509_num(const X509_STACK *stack)
    X509 *sk_X509_value(const X509_STACK *stack, int index)
    int X509_get_ext_count(const X509 *certificate)
    X509_EXTENSION *X509_get_ext(const X509 *certificate, int index)
    int X509_get_ext_by_NID(const X509 *certificate, int nid, int behind)
    ASN1_STRING *X509_EXTENSION_get_data(X509_EXTENSION *extension)
    int X509_digest(const X509 *certificate, const EVP_MD *digest, unsigned char *into, unsigned int *size)
    X509_NAME *X509_get_subject_name(const X509 *certificate)
    X509_NAME *X509_get_issuer_name(const X509 *certificate)
    int X509_NAME_entry_count(const X509_NAME *name)
    int X509_NAME_print_ex(BIO *into, const X509_NAME *name, int indent, unsigned long how)
    int i2d_X509_NAME(const X509_NAME *name, unsigned char **into)      # `into` NULL: the size only
    X509_NAME *X509_NAME_dup(const X509_NAME *name)
    void X509_NAME_free(X509_NAME *name)
    unsigned long XN_FLAG_RFC2253
    ctypedef struct X509_NAME_STACK "STACK_OF(X509_NAME)"
    X509_NAME_STACK *sk_X509_NAME_new_null()
    int sk_X509_NAME_push(X509_NAME_STACK *stack, X509_NAME *name)
    void sk_X509_NAME_pop_free(X509_NAME_STACK *stack, void (*release)(X509_NAME *))
    void sk_X509_pop_free(X509_STACK *stack, void (*release)(X509 *))

cdef extern from "<openssl/x509_vfy.h>" nogil:
    int X509_V_OK, X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_APPLICATION_VERIFICATION, X509_V_ERR_UNSPECIFIED
    int X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    int X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE
    int X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
    unsigned long X509_V_FLAG_PARTIAL_CHAIN
    ctypedef struct ASN1_TIME
    const ASN1_TIME *X509_get0_notAfter(const X509 *certificate)
    int X509_cmp_current_time(const ASN1_TIME *time)
    X509_STORE *X509_STORE_new()
    int X509_STORE_up_ref(X509_STORE *store)
    void X509_STORE_free(X509_STORE *store)
    int X509_STORE_add_cert(X509_STORE *store, X509 *certificate)
    int X509_verify_cert(X509_STORE_CTX *chain)
    X509_STORE_CTX *X509_STORE_CTX_new()
    void X509_STORE_CTX_free(X509_STORE_CTX *chain)
    int X509_STORE_CTX_init(X509_STORE_CTX *chain, X509_STORE *store, X509 *leaf, X509_STACK *untrusted)
    int X509_STORE_CTX_set_default(X509_STORE_CTX *chain, const char *purpose)
    X509_VERIFY_PARAM *X509_STORE_CTX_get0_param(const X509_STORE_CTX *chain)
    void X509_VERIFY_PARAM_set_depth(X509_VERIFY_PARAM *rules, int depth)
    void X509_VERIFY_PARAM_set_auth_level(X509_VERIFY_PARAM *rules, int level)
    X509 *X509_STORE_CTX_get0_cert(const X509_STORE_CTX *chain)
    void X509_STORE_CTX_set_error(X509_STORE_CTX *chain, int error)
    int X509_STORE_CTX_get_error(const X509_STORE_CTX *chain)
    X509_STACK *X509_STORE_CTX_get0_untrusted(const X509_STORE_CTX *chain)
    X509_STORE *X509_STORE_CTX_get0_store(const X509_STORE_CTX *chain)
    ctypedef struct X509_OBJECT
    ctypedef struct X509_OBJECT_STACK "STACK_OF(X509_OBJECT)"
    X509_OBJECT_STACK *X509_STORE_get0_objects(const X509_STORE *store)
    int sk_X509_OBJECT_num(const X509_OBJECT_STACK *objects)
    X509_OBJECT *sk_X509_OBJECT_value(const X509_OBJECT_STACK *objects, int index)
    X509 *X509_OBJECT_get0_X509(const X509_OBJECT *object)
    void *X509_STORE_CTX_get_ex_data(const X509_STORE_CTX *chain, int index)
    const char *X509_verify_cert_error_string(long error)
    int X509_VERIFY_PARAM_set_flags(X509_VERIFY_PARAM *rules, unsigned long flags)
    int X509_VERIFY_PARAM_set1_host(X509_VERIFY_PARAM *rules, const char *name, size_t size)
    int X509_VERIFY_PARAM_set1_ip_asc(X509_VERIFY_PARAM *rules, const char *address)
    void X509_VERIFY_PARAM_set_hostflags(X509_VERIFY_PARAM *rules, unsigned int flags)

cdef extern from "<openssl/pem.h>" nogil:
    ctypedef int (*Password)(char *into, int size, int writing, void *data) noexcept nogil
    int PEM_R_NO_START_LINE
    X509 *PEM_read_bio_X509(BIO *bio, X509 **into, Password password, void *data)
    EVP_PKEY *PEM_read_bio_PrivateKey(BIO *bio, EVP_PKEY **into, Password password, void *data)

cdef extern from * nogil:
    """
    #include <openssl/ssl.h>
    #ifndef SSL_OP_NO_TX_CERTIFICATE_COMPRESSION    /* since OpenSSL 3.2 */
    #define SSL_OP_NO_TX_CERTIFICATE_COMPRESSION 0
    #define SSL_OP_NO_RX_CERTIFICATE_COMPRESSION 0
    #endif
    """
    uint64_t SSL_OP_NO_TX_CERTIFICATE_COMPRESSION, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION

cdef extern from "<openssl/ssl.h>" nogil:
    int OPENSSL_init_ssl(uint64_t options, const void *settings)
    enum:
        SSL_ERROR_WANT_READ
        SSL_ERROR_WANT_WRITE
        SSL_ERROR_ZERO_RETURN
        SSL_MODE_AUTO_RETRY
        SSL_MODE_ENABLE_PARTIAL_WRITE
        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
        SSL_MODE_RELEASE_BUFFERS
        SSL_MODE_NO_AUTO_CHAIN
        SSL_SESS_CACHE_OFF
        SSL_SESS_CACHE_CLIENT
        SSL_SESS_CACHE_NO_INTERNAL
        SSL_VERIFY_PEER
        SSL_VERIFY_FAIL_IF_NO_PEER_CERT
        SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE
        SSL_TLSEXT_ERR_OK
        SSL_TLSEXT_ERR_NOACK
        SSL_TLSEXT_ERR_ALERT_FATAL
        TLS1_2_VERSION
        TLS1_3_VERSION
    uint64_t SSL_OP_NO_COMPRESSION, SSL_OP_NO_RENEGOTIATION, SSL_OP_CIPHER_SERVER_PREFERENCE
    uint64_t SSL_OP_PRIORITIZE_CHACHA
    const void *TLS_server_method()
    const void *TLS_client_method()
    SSL_CTX *SSL_CTX_new(const void *method)
    void SSL_CTX_free(SSL_CTX *context)
    uint64_t SSL_CTX_set_options(SSL_CTX *context, uint64_t options)
    long SSL_CTX_set_mode(SSL_CTX *context, long mode)
    long SSL_CTX_clear_mode(SSL_CTX *context, long mode)
    int SSL_CTX_set_min_proto_version(SSL_CTX *context, int version)
    int SSL_CTX_set_max_proto_version(SSL_CTX *context, int version)
    int SSL_CTX_set_cipher_list(SSL_CTX *context, const char *ciphers)
    int SSL_CTX_set_ciphersuites(SSL_CTX *context, const char *ciphers)
    int SSL_CTX_set1_groups_list(SSL_CTX *context, const char *groups)
    long SSL_CTX_set_session_cache_mode(SSL_CTX *context, long mode)
    long SSL_CTX_set_timeout(SSL_CTX *context, long seconds)
    int SSL_CTX_set_num_tickets(SSL_CTX *context, size_t count)
    int SSL_CTX_set_max_early_data(SSL_CTX *context, unsigned int size)
    void SSL_CTX_set_security_level(SSL_CTX *context, int level)
    void SSL_CTX_set_alpn_select_cb(
        SSL_CTX *context,
        int (*select)(SSL *, const unsigned char **, unsigned char *, const unsigned char *, unsigned int, void *)
        noexcept nogil,
        void *data)
    int SSL_CTX_set_tlsext_ticket_key_evp_cb(
        SSL_CTX *context,
        int (*find)(SSL *, unsigned char *, unsigned char *, EVP_CIPHER_CTX *, EVP_MAC_CTX *, int) noexcept nogil)
    void SSL_CTX_set_verify(SSL_CTX *context, int mode, void *verify)
    void SSL_CTX_set_verify_depth(SSL_CTX *context, int depth)
    long SSL_CTX_set_max_cert_list(SSL_CTX *context, long size)
    void SSL_CTX_set_cert_verify_callback(
        SSL_CTX *context, int (*verify)(X509_STORE_CTX *, void *) noexcept nogil, void *data)
    void SSL_CTX_set1_cert_store(SSL_CTX *context, X509_STORE *store)
    X509_VERIFY_PARAM *SSL_CTX_get0_param(SSL_CTX *context)
    long SSL_set1_verify_cert_store(SSL *ssl, X509_STORE *store)
    int SSL_get_security_level(const SSL *ssl)
    int SSL_CTX_set_alpn_protos(SSL_CTX *context, const unsigned char *names, unsigned int size)    # 0: success
    int SSL_CTX_use_cert_and_key(SSL_CTX *context, X509 *leaf, EVP_PKEY *key, X509_STACK *chain, int override)
    void SSL_CTX_sess_set_new_cb(SSL_CTX *context, int (*keep)(SSL *, SSL_SESSION *) noexcept nogil)
    void SSL_CTX_set0_CA_list(SSL_CTX *context, X509_NAME_STACK *names)
    ctypedef int Status "SSL_TICKET_STATUS"
    ctypedef int Return "SSL_TICKET_RETURN"
    int SSL_TICKET_SUCCESS, SSL_TICKET_SUCCESS_RENEW
    int SSL_TICKET_RETURN_IGNORE_RENEW, SSL_TICKET_RETURN_USE, SSL_TICKET_RETURN_USE_RENEW
    int SSL_CTX_set_session_ticket_cb(
        SSL_CTX *context, int (*made)(SSL *, void *) noexcept nogil,
        Return (*opened)(SSL *, SSL_SESSION *, const unsigned char *, size_t, Status, void *) noexcept nogil,
        void *data)
    int SSL_SESSION_set1_ticket_appdata(SSL_SESSION *session, const void *data, size_t size)
    int SSL_SESSION_get0_ticket_appdata(SSL_SESSION *session, void **data, size_t *size)
    SSL_SESSION *SSL_get_session(const SSL *ssl)
    X509 *SSL_get0_peer_certificate(const SSL *ssl)
    X509_STACK *SSL_get_peer_cert_chain(const SSL *ssl)
    int SSL_get_ex_data_X509_STORE_CTX_idx()
    int SSL_set_ex_data(SSL *ssl, int index, void *data)
    void *SSL_get_ex_data(const SSL *ssl, int index)
    void SSL_set_connect_state(SSL *ssl)
    long SSL_set_tlsext_host_name(SSL *ssl, const char *name)
    long SSL_get_verify_result(const SSL *ssl)
    int SSL_set_session(SSL *ssl, SSL_SESSION *session)
    void SSL_SESSION_free(SSL_SESSION *session)
    int SSL_SESSION_is_resumable(const SSL_SESSION *session)
    X509 *SSL_SESSION_get0_peer(SSL_SESSION *session)
    SSL *SSL_new(SSL_CTX *context)
    void SSL_free(SSL *ssl)
    void SSL_set_bio(SSL *ssl, BIO *read, BIO *write)
    void SSL_set_accept_state(SSL *ssl)
    int SSL_set_session_id_context(SSL *ssl, const unsigned char *context, unsigned int size)
    int SSL_use_cert_and_key(SSL *ssl, X509 *leaf, EVP_PKEY *key, X509_STACK *chain, int override)
    int SSL_do_handshake(SSL *ssl)
    int SSL_version(const SSL *ssl)
    int SSL_session_reused(const SSL *ssl)
    const char *SSL_get_version(const SSL *ssl)
    int SSL_read(SSL *ssl, void *into, int room)
    int SSL_write(SSL *ssl, const void *data, int size)
    int SSL_pending(const SSL *ssl)
    int SSL_has_pending(const SSL *ssl)
    int SSL_in_init(const SSL *ssl)
    const char *SSL_rstate_string(const SSL *ssl)
    int SSL_shutdown(SSL *ssl)
    int SSL_get_error(const SSL *ssl, int outcome)
    void SSL_get0_alpn_selected(const SSL *ssl, const unsigned char **name, unsigned int *size)
