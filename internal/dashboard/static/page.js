// Pages are complete without this. It copies texts, and replaces the content of a page when the
// ledger has something new.
"use strict";

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = !navigator.clipboard; // browsers have it on loopback and over HTTPS
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied ✓";
  });
}

(() => {
  const main = document.querySelector("main[data-live]");
  if (!main || !window.EventSource) return;

  let loading = false, again = false;
  const reload = async () => {
    if (loading || document.hidden) { again = true; return; }
    loading = true;
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (response.status === 401) { location.reload(); return; }
      if (!response.ok) return;
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("main");
      // Do not take the form from somebody who is filling it in.
      if (fresh && !main.contains(document.activeElement)) main.innerHTML = fresh.innerHTML;
    } catch { /* the server is away; EventSource tries again */ } finally {
      loading = false;
      if (again && !document.hidden) { again = false; setTimeout(reload, 1000); }
    }
  };
  document.addEventListener("visibilitychange", () => { if (again && !document.hidden) { again = false; reload(); } });
  const source = new EventSource("/live?since=" + main.dataset.live);
  source.addEventListener("changed", reload);
  let opened = false; // the second time there may have been another server meanwhile
  source.addEventListener("open", () => { if (opened) reload(); opened = true; });
})();
