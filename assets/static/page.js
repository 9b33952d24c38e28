// What pages with a form share: one section shown at a time, words from the server, and a request.
export const find = (id) => document.getElementById(id);

export const show = (id) => {
  for (const section of document.querySelectorAll('main > section')) section.hidden = section.id !== id;
};

// What the server says has code between backticks; shown, it is code.
export function say(element, text) {
  element.replaceChildren(...text.split('`').map((part, at) => {
    if (at % 2 === 0) return document.createTextNode(part);
    const code = document.createElement('code');
    code.textContent = part;
    return code;
  }));
}

export async function post(path, body) {
  const response = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  return { response, answer: text ? JSON.parse(text) : {} };
}
