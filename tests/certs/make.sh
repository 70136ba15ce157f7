#!/usr/bin/env bash
# Makes the certificates of the tests anew, with dates far away. Run in this directory.
set -eu
days=36500
rm -f ./*.pem ./*.srl

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days $days \
    -subj "/CN=Test authority" -keyout ca-key.pem -out ca.pem \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"

issue() { # name, subject, extensions
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" \
        -keyout "$1-key.pem" -out request.pem
    openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days $days \
        -extfile <(printf '%s\n' "$3") -out "$1.pem"
    rm request.pem
}

issue server "/CN=localhost" "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1
extendedKeyUsage=serverAuth"
issue other "/CN=other" "subjectAltName=DNS:other
extendedKeyUsage=serverAuth"
issue client "/C=AT/O=Example, Inc./CN=client" "extendedKeyUsage=clientAuth"
issue revoked "/CN=revoked" "extendedKeyUsage=clientAuth"

openssl ec -in server-key.pem -aes256 -passout pass:foobar -out server-key-encrypted.pem

touch index.txt
printf '%s\n' "[ca]" "default_ca = a" "[a]" "database = index.txt" "default_md = sha256" \
    "default_crl_days = $days" > ca.conf
openssl ca -config ca.conf -revoke revoked.pem -keyfile ca-key.pem -cert ca.pem
openssl ca -config ca.conf -gencrl -keyfile ca-key.pem -cert ca.pem -out crl.pem
rm -f index.txt* ca.conf ./*.srl
