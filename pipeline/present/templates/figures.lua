-- HTML's own element for a figure and its caption; a wide table can be scrolled with the keyboard.
function Div(div)
  if div.classes:includes("figure") and #div.content >= 2 then
    local blocks = pandoc.List({
      pandoc.RawBlock("html", '<figure class="figure" id="' .. div.identifier .. '">'),
      div.content[1],
      pandoc.RawBlock("html", "<figcaption>"),
    })
    blocks:extend(pandoc.List(div.content):filter(function(block) return block ~= div.content[1] end))
    blocks:extend({ pandoc.RawBlock("html", "</figcaption>"), pandoc.RawBlock("html", "</figure>") })
    return blocks
  end
  if div.classes:includes("table") then
    div.attributes["tabindex"] = "0"
    div.attributes["role"] = "region"
    div.attributes["aria-labelledby"] = div.identifier .. "-title"
    local title = div.content[1]
    title.content = { pandoc.Span(title.content, pandoc.Attr(div.identifier .. "-title")) }
    return div
  end
end
