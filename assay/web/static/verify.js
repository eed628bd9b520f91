// Verify in place: the button says that it works, the findings appear above the picture and are read out.

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-verify]");
  if (!form) return;
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  button.textContent = "Verifying…";
  try {
    const answer = await fetch(form.action, { method: "POST", headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.querySelector("#verification") ?? page.querySelector("#main");
    document.querySelector("#verification").replaceChildren(...found.childNodes);
    document.querySelector("#verification h2")?.focus();
  } catch {
    document.querySelector("#verification").textContent = "The server did not answer. Is `assay up` still running? Then try again.";
  } finally {
    button.disabled = false;
    button.textContent = "Verify again";
  }
});
