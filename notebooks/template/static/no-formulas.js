// The page shows no formulas. MathJax would come from an outside host; this answers in its place, and sets nothing.
const nothing = () => {};
window.MathJax = {
  Hub: { Config: nothing, Configured: nothing, Queue: nothing, Register: { StartupHook: nothing }, config: {} },
};
