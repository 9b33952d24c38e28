// The page behind a setup link. The secret after `#` is never sent by the browser itself, only from here.
import './copy.js';
import { find, post, say, show } from './page.js';

// Quoted for a shell, in which a quote ends the text.
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function done(email) {
  history.replaceState(null, '', location.pathname);
  find('open').remove();
  find('whose').textContent = email;
  const body = quoted(`{"email": ${JSON.stringify(email)}, "password": "…"}`);
  find('sign-in').textContent =
    `curl ${location.origin}/api/v1/auth/login -H 'content-type: application/json' \\\n  -d ${body}`;
  show('done');
  document.title = 'Steading · You are an admin';
  find('done').querySelector('h1').focus();
}

function gone() {
  history.replaceState(null, '', location.pathname);
  show('gone');
  document.title = 'Steading · This setup link does not work';
  find('gone').querySelector('h1').focus();
}

const isGone = (answer) => answer.code === 'setup-link-invalid';
const members = { email: 'The address', name: 'The name', password: 'The password', token: 'The link' };

async function setUp(token) {
  const form = find('setup');
  const button = form.querySelector('button');
  const body = { token, email: form.email.value, password: form.password.value };
  if (form.elements.name.value) body.name = form.elements.name.value;
  say(find('outcome'), '');
  button.disabled = true;
  try {
    const { response, answer } = await post('/api/v1/setup', body);
    if (response.ok) return done(answer.user.email);
    if (isGone(answer)) return gone();
    const faults = (answer.errors ?? []).map((it) => {
      const member = it.pointer.slice(1);
      return `${members[member] ?? member} ${it.detail}.`;
    });
    say(find('outcome'), faults.length ? faults.join(' ') : `${answer.title}: ${answer.detail}.`);
    const first = form.elements[answer.errors?.[0]?.pointer.slice(1)];
    if (first) first.focus();
  } catch {
    say(find('outcome'), 'The server does not answer. Nothing was changed, as far as this page knows; try again.');
  }
  button.disabled = false;
}

async function open() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';
  if (!token) return show('bare');
  show('looking');
  try {
    const { response, answer } = await post('/api/v1/setup/check', { token });
    if (response.ok) {
      find('which').textContent = answer.firstAdmin ? 'the first admin' : 'another admin';
      show('open');
      find('email').focus();
      const form = find('setup');
      // What was wrong before is not what is wrong now.
      for (const event of ['input', 'invalid']) form.addEventListener(event, () => say(find('outcome'), ''), true);
      form.onsubmit = (event) => {
        event.preventDefault();
        setUp(token);
      };
      return;
    }
    // A secret that is no secret at all, cut short or too long, is as good as one that was used.
    if (isGone(answer) || response.status === 422) return gone();
    say(find('reason'), `${answer.title}: ${answer.detail}.`);
  } catch {
    say(find('reason'), 'The server does not answer.');
  }
  find('again').href = location.href;
  find('again').onclick = () => location.reload();
  show('unsure');
}

addEventListener('hashchange', open);
open();
