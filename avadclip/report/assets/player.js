// One playhead for every video: the player's own if the browser can play the file, otherwise one on the curve.

function createPlayer({ onMove, onState }) {
  const media = byId("player");
  const notice = byId("player-notice");
  let playable = false;
  let ownSeconds = 0;
  let clockStart = 0; // the time of the media's clock at the page's zero
  let wantedSeconds = null; // on the media's clock, to which it cannot seek yet
  let range = [0, 0];

  function tell(text) {
    notice.textContent = text;
    notice.hidden = !text;
    media.hidden = Boolean(text);
  }

  function giveUp(text) {
    playable = false;
    tell(text);
    onState();
    onMove();
  }

  media.addEventListener("error", () => {
    if (!media.getAttribute("src")) return;
    ownSeconds = Math.max(media.currentTime - clockStart, ownSeconds);
    const kind = media.dataset.kind;
    giveUp(
      `The video is not where this page looks for it, or this browser cannot play ${kind ? `.${kind} files` : "such files"}. ` +
        "The curve below still works; to watch the video, open it in a media player.",
    );
  });
  media.addEventListener("loadedmetadata", () => {
    if (media.videoWidth === 0) giveUp("This browser plays the sound of this video but cannot show its picture. The curve works.");
    else if (clockStart > 0) reach(clockStart);
  });
  for (const name of ["play", "pause", "ended"]) media.addEventListener(name, () => (onState(), follow()));
  for (const name of ["seeking", "timeupdate"]) media.addEventListener(name, () => playable && onMove());

  // Of an MP4 whose clock begins late Chromium knows the end only as far as it has read, and goes no further at a time.
  function reach(seconds) {
    media.currentTime = seconds;
    wantedSeconds = clockStart > 0 && media.duration < seconds ? seconds : null;
  }
  media.addEventListener("durationchange", () => wantedSeconds !== null && reach(wantedSeconds));

  // During playback the playhead moves with every frame of the screen.
  let following = false;
  function follow() {
    if (following || media.paused) return;
    following = true;
    const tick = () => {
      onMove();
      following = !media.paused && playable;
      if (following) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  return {
    // facts: an entry of the list.
    load(facts) {
      media.pause();
      ownSeconds = 0;
      clockStart = facts.clockStart;
      wantedSeconds = null;
      range = [0, facts.seconds];
      playable = facts.media !== null;
      if (playable) {
        media.dataset.kind = facts.media.split(".").pop();
        media.setAttribute("aria-label", `Video ${facts.id}`);
        media.src = facts.media;
        tell("");
      } else {
        media.removeAttribute("src");
        media.load(); // releases the previous video
        tell("The video file is not beside this page. The curve below still works.");
      }
      onState();
    },
    setRange(start, end) {
      range = [start, end];
    },
    get seconds() {
      return playable ? Math.max(media.currentTime - clockStart, range[0]) : ownSeconds;
    },
    get isPlaying() {
      return playable && !media.paused;
    },
    get isPlayable() {
      return playable;
    },
    seek(seconds) {
      const wanted = clamp(seconds, range[0], range[1]);
      if (playable) reach(wanted + clockStart);
      else ownSeconds = wanted;
      onMove();
    },
    toggle() {
      if (!playable) return;
      // Refused where the browser wants a click first, or the video changes meanwhile: then it just stays paused.
      if (media.paused) media.play().catch(onState);
      else media.pause();
    },
  };
}
