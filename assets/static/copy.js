// A button at each block of code that copies it.
for (const block of document.querySelectorAll('main pre')) {
  const code = block.querySelector('code') ?? block;
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Copy';
  button.setAttribute('aria-label', 'Copy this code');
  button.onclick = async () => {
    button.textContent = (await copy(code)) ? 'Copied' : 'Marked';
    setTimeout(() => { button.textContent = 'Copy'; }, 1600);
  };
  block.prepend(button);
  // What scrolls must be reached with the keyboard too.
  if (block.clientWidth < block.scrollWidth) block.tabIndex = 0;
}

// Over plain HTTP from another machine a browser lets no page write the clipboard: the code is marked there, to be
// copied by hand.
async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent.trimEnd());
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return false;
  }
}
