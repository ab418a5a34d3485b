// Somebody else's OpenID provider. It takes its settings as one line of JSON on
// stdin, prints the port that it listens on, and then obeys lines on stdin:
//
//   rotate    a new key signs, the old one stays in the key set
//   withdraw  the old keys go
//
// When stdin ends, so does it.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const lines = createInterface({ input: process.stdin });
let keys = [];
let handle;

function newKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'ES256', use: 'sig' };
}

function person(login) {
  return { sub: `id-of-${login}`, email: login, email_verified: true, name: `Name of ${login}`, groups: ['staff'] };
}

// The accounts are all that the development login page accepts: any name.
function findAccount(ctx, id) {
  return { accountId: id, claims: async () => person(id.replace(/^id-of-/, '')) };
}

function make(settings) {
  const provider = new Provider(settings.issuer, {
    clients: settings.clients,
    jwks: { keys },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    findAccount,
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    scopes: ['openid', 'offline_access', 'email', 'profile', 'groups'],
    cookies: { keys: ['interop'] },
    extraTokenClaims: async (ctx, token) => {
      if (!settings.claims_in_token || !token.accountId) return undefined;
      const { email, email_verified, name, groups } = person(token.accountId.replace(/^id-of-/, ''));
      return { email, email_verified, name, groups };
    },
    features: {
      devInteractions: { enabled: true },
      introspection: { enabled: true, allowedPolicy: async () => true },
      revocation: { enabled: true },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, resource) => ({
          scope: 'read', audience: resource, accessTokenTTL: 600, accessTokenFormat: settings.format, jwt: { sign: { alg: 'ES256' } },
        }),
        useGrantedResource: () => true,
      },
    },
    ttl: { AccessToken: 600, ClientCredentials: 600, Grant: 3600, IdToken: 600, Interaction: 600, Session: 600, RefreshToken: 3600, AuthorizationCode: 60 },
  });
  provider.proxy = true; // TLS ends at Caddy
  return provider.callback();
}

lines.once('line', (first) => {
  const settings = JSON.parse(first);
  keys = [newKey()];
  handle = make(settings);
  const mount = new URL(settings.issuer).pathname.replace(/\/$/, '');
  const server = createServer((req, res) => {
    if (mount) {
      if (!req.url.startsWith(`${mount}/`)) return res.writeHead(404).end();
      req.originalUrl = req.url; // as a framework does that mounts it
      req.url = req.url.slice(mount.length);
    }
    return handle(req, res);
  });
  server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
  lines.on('line', (line) => {
    if (line === 'rotate') keys = [newKey(), ...keys];
    if (line === 'withdraw') keys = keys.slice(0, 1);
    handle = make(settings);
    console.log('done');
  });
  lines.on('close', () => process.exit(0));
});
