# docs/options.md, made from the options themselves.
let
  lib = import ./lib.nix;
  small = import ./evaluator.nix;
  host = import ./host.nix {
    modules = [
      {
        services.cc-ci.zone = "ci.example.org";
        services.cc-ci.machine = "ci";
      }
    ];
  };
  text =
    value:
    if builtins.isAttrs value && (value._type or "") == "literalExpression" then
      value.text
    else if builtins.isAttrs value && value ? outPath then
      value.outPath
    else if builtins.isList value then
      "[ ${lib.concatMapStringsSep " " text value} ]"
    else if value == { } then
      "{ }"
    else
      builtins.toJSON value;
  # In a table a line is a row.
  cell = words: builtins.replaceStrings [ "\n" "|" ] [ " " "\\|" ] words;
  default =
    option:
    if option ? defaultText then
      "`${cell (text option.defaultText)}`"
    else if option ? default then
      "`${cell (text option.default)}`"
    else
      "–";
  row =
    name: option:
    "| `${name}` | ${cell option.type.what} | ${default option} | ${cell option.description} |\n";
  walk =
    path: tree:
    lib.concatMapStringsSep "" (
      name:
      let
        option = tree.${name};
        here = "${path}.${name}";
        inside = option.type.inner.modules or option.type.modules or [ ];
      in
      if !small.isOption option then
        walk here option
      else
        row here option
        + lib.optionalString (inside != [ ]) (
          walk "${here}.<name>"
            (small.evaluate {
              modules = inside;
              args = {
                inherit lib;
                name = "<name>";
              };
            }).options
        )
    ) (lib.attrNames tree);
in
''
  # Options

  Generated from `modules/`; written anew by `CCCI_NIX_WRITE=1 modules/tests/check`. Where to begin: [install](install.md).

  | option | is | default | means |
  |---|---|---|---|
''
+ walk "services.cc-ci" host.options.services.cc-ci
