// The pages behind links in mails. Opening one changes nothing: programs that look through mails open links too.
import { find, post, say, show } from './page.js';

const forms = {
  verify: { path: '/api/v1/auth/verify-email', body: (token, form) => ({ token, password: form.password.value }) },
  reset: { path: '/api/v1/auth/reset-password', body: (token, form) => ({ token, newPassword: form.newPassword.value }) },
  accept: {
    path: '/api/v1/auth/accept-invitation',
    body: (token, form) => ({ token, password: form.password.value, ...(form.elements.name.value.trim() && { name: form.elements.name.value }) }),
  },
};

// The secret is read once and taken out of the address: what is in the address ends up in histories and screenshots.
const token = new URLSearchParams(location.search).get('token') ?? '';
history.replaceState(null, '', location.pathname);

function end(section) {
  show(section);
  const title = find(section).querySelector('h1');
  document.title = `Steading · ${title.textContent}`;
  title.focus();
}

async function send(form, { path, body }) {
  const outcome = form.querySelector('.outcome');
  const button = form.querySelector('button');
  say(outcome, '');
  button.disabled = true;
  try {
    const { response, answer } = await post(path, body(token, form));
    if (response.ok) return end('done');
    if (['one-time-secret-invalid', 'invitation-void'].includes(answer.code)) return end('gone');
    const faults = (answer.errors ?? []).map((it) => ({ '/newPassword': `The password ${it.detail}.`, '/password': `The password ${it.detail}.`, '/name': `The name ${it.detail}.` })[it.pointer] ?? '');
    // A secret that is cut short or too long is as good as one that was used.
    if (answer.errors?.some((it) => it.pointer === '/token')) return end('gone');
    say(outcome, faults.join(' ').trim() || `${answer.title}: ${answer.detail}.`);
    form.querySelector('input')?.focus();
  } catch {
    say(outcome, 'The server does not answer. Try again.');
  }
  button.disabled = false;
}

function open() {
  if (!token) return show('bare');
  const [id, what] = Object.entries(forms).find(([it]) => find(it));
  const form = find(id);
  for (const event of ['input', 'invalid']) form.addEventListener(event, () => say(form.querySelector('.outcome'), ''), true);
  form.onsubmit = (event) => {
    event.preventDefault();
    send(form, what);
  };
  show('open');
  form.querySelector('input, button').focus();
}

open();
