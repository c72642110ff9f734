package logkey

// Step is where in the dialogue with a next hop something went wrong, such as
// "EHLO" or "end of text".
const Step = "step"
