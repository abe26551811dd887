"use strict";
// Lets the browser make a passkey, or sign with one, and sends what it answered in the form's field `passkey`. The form
// is hidden where that cannot be: then there is a form with a password beside it.
(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const base64 = (raw) => btoa(String.fromCharCode(...new Uint8Array(raw)));
  const text = (raw) => base64(raw).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const read = (keys) => (keys || []).map((key) => ({ ...key, id: bytes(key.id) }));

  async function answer(form) {
    const asked = JSON.parse(form.dataset.options);
    const publicKey = { ...asked, challenge: bytes(asked.challenge) };
    if (form.dataset.passkey === "create") {
      publicKey.user = { ...asked.user, id: bytes(asked.user.id) };
      publicKey.excludeCredentials = read(asked.excludeCredentials);
      const name = form.elements.namedItem("name");
      if (name && name.value) publicKey.user.name = publicKey.user.displayName = name.value;
      return navigator.credentials.create({ publicKey });
    }
    publicKey.allowCredentials = read(asked.allowCredentials);
    return navigator.credentials.get({ publicKey });
  }

  function json(credential) {
    const response = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"])
      if (credential.response[name]) response[name] = text(credential.response[name]);
    const { id, type } = credential;
    return JSON.stringify({ id, rawId: text(credential.rawId), type, response, clientExtensionResults: {} });
  }

  if (!window.PublicKeyCredential) return;
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const wrong = form.querySelector("[data-wrong]");
      wrong.hidden = true;
      try {
        form.elements.namedItem("passkey").value = json(await answer(form));
        form.submit();
      } catch {
        wrong.hidden = false;
        wrong.focus();
      }
    });
  }
})();
