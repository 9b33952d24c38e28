// Sends the form together with the secret after `#`, which the browser never sends by itself.
const form = document.getElementById('setup');
const outcome = document.getElementById('outcome');
const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';

function tell(text, isWrong) {
  outcome.textContent = text;
  outcome.className = isWrong ? 'wrong' : 'right';
}

if (!token) tell('The address lacks its secret. Open the whole link, with everything after the #.', true);

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = form.querySelector('button');
  button.disabled = true;
  const body = { token, email: form.email.value, password: form.password.value };
  if (form.elements.name.value) body.name = form.elements.name.value;
  try {
    const response = await fetch('/api/v1/setup', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (response.ok) {
      history.replaceState(null, '', location.pathname);
      form.querySelectorAll('input, button').forEach((it) => { it.disabled = true; });
      tell(`Done. ${answer.user.email} is an admin. Sign in under “API”, with POST /api/v1/auth/login.`, false);
      return;
    }
    const faults = (answer.errors ?? []).map((it) => `${it.pointer.slice(1)} ${it.detail}`);
    tell(faults.length ? faults.join('; ') : `${answer.title}: ${answer.detail}`, true);
  } catch {
    tell('The server does not answer.', true);
  }
  button.disabled = false;
});
