"""Free wordings of the whole-body moves, verbs first in their plain form."""

from __future__ import annotations

WHOLE_WORDINGS: dict[str, tuple[str, ...]] = {
    "spin": (
        "spin", "spin around", "turn around", "rotate", "rotate around its axis", "twirl", "twirl around",
        "whirl around", "pirouette", "revolve", "go round and round", "spin like a top", "do a spin", "gyrate",
        "rotate on the spot",
    ),
    "turn": (
        "turn", "turn to the side", "turn its body", "face another way", "change direction", "veer", "swivel",
        "turn on the spot", "look the other way with its whole body", "make a turn", "steer", "turn sideways",
    ),
    "roll": (
        "roll", "roll over", "roll along the ground", "tumble sideways", "do a barrel roll", "do a cartwheel",
        "cartwheel", "roll around", "do a somersault", "roll like a barrel", "turn upside down", "somersault",
    ),
    "tip": (
        "tip over", "fall over", "topple", "topple over", "keel over", "fall on its side", "collapse to the side",
        "overturn", "get knocked over", "capsize", "drop onto its side", "fall flat",
        "fall to the ground on its side", "lie down on its side", "faint",
    ),
    "tilt": (
        "tilt", "tilt its body", "lean left", "lean right", "lean to the left", "lean to the right",
        "tilt to one side", "slant", "list", "incline", "be tilted", "lean to the side",
        "tilt over a little and stay", "bank", "cant", "stand at an angle", "lean sideways",
    ),
    "rock": (
        "rock", "rock back and forth", "rock like a cradle", "rock like a rocking chair", "teeter",
        "rock forward and backward", "seesaw", "tip back and forth", "rock on its base", "ride like a rocking horse",
        "rock to and fro", "pitch back and forth",
    ),
    "swing": (
        "swing", "swing like a pendulum", "dangle", "hang and swing", "swing back and forth", "oscillate",
        "swing to and fro", "dangle from a rope", "swing from the ceiling", "hang and sway from above",
        "swing from its top", "tick like a pendulum",
    ),
    "hop": (
        "hop", "hop up and down", "hop around", "make little hops", "skip", "skip along", "do small jumps",
        "hop like a bunny", "hop on the spot", "make small jumps", "hop along", "take little leaps",
        "hop like a rabbit",
    ),
    "jump": (
        "jump", "jump up", "leap", "leap up", "leap into the air", "jump into the air", "spring up",
        "make a big jump", "vault", "jump for joy", "take a leap", "crouch and jump", "do a jump",
        "launch itself into the air",
    ),
    "bounce": (
        "bounce", "bounce up and down", "bounce like a ball", "bounce like rubber", "rebound", "boing",
        "bounce around", "spring up and down", "bounce off the floor", "bounce on a trampoline",
        "bounce on the ground", "pogo",
    ),
    "float": (
        "float", "hover", "bob up and down", "float in the air", "levitate", "drift", "hover in the air",
        "bob on water", "float like a balloon", "float weightlessly", "drift in the air", "bob", "hang in the air",
        "float on the waves",
    ),
    "rise": (
        "fly up", "rise", "ascend", "take off", "lift off", "go up", "soar up", "rise into the air", "glide up",
        "float away upward", "move upward", "climb into the sky", "fly upward", "launch", "rise from the ground",
        "fly into the sky",
    ),
    "fall": (
        "fall", "fall down", "drop", "plummet", "drop down", "plunge", "come down", "sink to the ground",
        "tumble down", "go down", "crash down", "fall from the sky", "sink", "descend",
    ),
    "slide": (
        "slide", "glide", "slip", "shift", "move sideways", "slide along", "slide over the floor",
        "glide along the floor", "shift over", "move over", "be pushed", "skid", "slide across the ground",
        "move along", "travel",
    ),
    "tremble": (
        "tremble", "shiver", "quiver", "shudder", "vibrate", "shake", "quake", "shake all over", "shiver with cold",
        "tremble with fear", "jitter", "buzz", "twitch", "shake like a leaf", "rattle",
    ),
    "sway": (
        "sway", "sway from side to side", "sway in the wind", "swing gently like grass", "bend from side to side",
        "wave in the breeze", "move in the wind", "sway like a tree", "sway to the music", "be blown by the wind",
        "sway to and fro",
    ),
    "bend": (
        "bend", "bend over", "bend sideways", "curve", "bend its body", "flex", "arch", "bend like a banana",
        "bend down", "curl over", "hunch", "bend to one side", "droop",
    ),
    "bow": (
        "bow", "take a bow", "bow politely", "bow down", "make a bow", "curtsy", "bow and straighten up",
        "greet with a bow", "bow before the audience", "bow respectfully", "bend forward and come back up",
        "bow to the crowd", "salaam",
    ),
    "lean": (
        "lean", "lean over", "lean forward", "lean backward", "lean back", "lean towards the camera", "lean in",
        "lean its upper body", "lean with its top", "lean and stay", "lean against the wind", "be slanted",
        "shift its weight", "stoop", "lean like a tower", "skew",
    ),
    "twist": (
        "twist", "twist its body", "wring itself", "twist around", "contort", "coil", "twist back and forth", "screw",
        "twist like a corkscrew", "corkscrew", "wind up", "twist at the waist", "wring like a towel", "do the twist",
    ),
    "squash": (
        "squash", "squash flat", "flatten", "get squashed", "compress", "squish", "be squeezed down",
        "flatten itself", "get flattened", "be pressed flat", "squeeze down", "become flat", "get squished",
        "get crushed",
    ),
    "stretch": (
        "stretch", "stretch up", "elongate", "stretch tall", "get longer", "extend upward", "lengthen",
        "become taller", "get taller", "stretch like rubber", "stretch itself out", "stretch its body",
        "reach for the sky", "grow tall and thin",
    ),
    "breathe": (
        "breathe", "breathe in and out", "inhale and exhale", "take a deep breath", "puff up", "swell and shrink",
        "breathe deeply", "puff itself up", "respire", "take a breath", "sigh", "swell like a balloon",
        "expand its chest", "pant",
    ),
    "grow": (
        "grow", "get bigger", "grow bigger", "become larger", "expand", "enlarge", "inflate", "increase in size",
        "get larger", "become huge", "scale up", "swell up", "grow in size", "become bigger",
        "blow up like a balloon",
    ),
    "shrink": (
        "shrink", "get smaller", "become smaller", "contract", "shrivel", "diminish", "become tiny", "deflate",
        "scale down", "decrease in size", "dwindle", "shrink away", "become little", "shrink in size", "get tiny",
    ),
    "wobble": (
        "wobble", "wobble like jelly", "jiggle", "wobble like pudding", "jiggle like jello",
        "wobble from side to side", "wobble like rubber", "jiggle around", "wobble around", "quiver like gelatin",
        "move like jelly", "shake like pudding", "be wobbly",
    ),
    "undulate": (
        "undulate", "ripple", "move in waves", "move like a wave", "ripple like water", "make a wave",
        "wave like a flag", "flow like a wave", "billow", "surge in waves", "let a wave run through its body",
        "do the wave", "ripple from end to end",
    ),
    "wiggle": (
        "wiggle", "wriggle", "squirm", "wiggle its body", "wiggle around", "writhe", "waggle", "shimmy",
        "wiggle its hips", "wriggle like a worm", "wiggle back and forth", "fidget", "squirm around",
        "wiggle its bottom",
    ),
}  # fmt: skip
"""By the name of the move."""
