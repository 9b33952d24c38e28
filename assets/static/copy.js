// A button at each block of code that copies it.
for (const block of document.querySelectorAll('main pre')) {
  const frame = document.createElement('div');
  frame.className = 'copied';
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Copy';
  button.setAttribute('aria-label', 'Copy this code');
  button.onclick = async () => {
    button.textContent = (await copy(block)) ? 'Copied' : 'Marked';
    setTimeout(() => { button.textContent = 'Copy'; }, 1600);
  };
  block.replaceWith(frame);
  frame.append(block, button);
}

// Over plain HTTP from another machine a browser lets no page write the clipboard: the code is marked there, to be
// copied by hand.
async function copy(block) {
  try {
    await navigator.clipboard.writeText(block.textContent.trimEnd());
    return true;
  } catch {
    getSelection().selectAllChildren(block);
    return false;
  }
}
